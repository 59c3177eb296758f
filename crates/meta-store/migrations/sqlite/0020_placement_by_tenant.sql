-- why: to list a tenant's
CREATE INDEX placement_by_tenant ON placement (part, tenant, account)
