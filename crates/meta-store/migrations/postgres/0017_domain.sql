-- why: owned by one tenant
CREATE TABLE domain (
    part bigint NOT NULL,
    domain text COLLATE "C" NOT NULL,
    tenant bigint NOT NULL,
    addresses bigint NOT NULL,
    PRIMARY KEY (part, domain)
) WITH (fillfactor = 50)
