-- why: to find and list by name; unique in decide, not here
CREATE INDEX tenant_by_name ON tenant (part, name)
