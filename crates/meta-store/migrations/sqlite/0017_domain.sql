-- why: owned by one tenant
CREATE TABLE domain (
    part integer NOT NULL,
    domain text NOT NULL,
    tenant integer NOT NULL,
    addresses integer NOT NULL,
    PRIMARY KEY (part, domain)
) WITHOUT ROWID
