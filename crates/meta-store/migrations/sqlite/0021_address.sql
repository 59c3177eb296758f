-- why: by domain first: a domain's addresses lie together
CREATE TABLE address (
    part integer NOT NULL,
    domain text NOT NULL,
    local text NOT NULL,
    account integer NOT NULL,
    PRIMARY KEY (part, domain, local)
) WITHOUT ROWID
