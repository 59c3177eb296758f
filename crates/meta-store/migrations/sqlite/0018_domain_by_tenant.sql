-- why: to list a tenant's
CREATE INDEX domain_by_tenant ON domain (part, tenant, domain)
