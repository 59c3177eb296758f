-- why: by domain first: a domain's addresses lie together
CREATE TABLE address (
    part bigint NOT NULL,
    domain text COLLATE "C" NOT NULL,
    local text COLLATE "C" NOT NULL,
    account bigint NOT NULL,
    PRIMARY KEY (part, domain, local)
)
