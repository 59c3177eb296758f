-- why: the name as bytes, since nobody keeps NUL out of it
CREATE TABLE tenant (
    part bigint NOT NULL,
    id bigint NOT NULL,
    name bytea NOT NULL,
    accounts_max bigint,
    accounts bigint NOT NULL,
    domains bigint NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (part, id)
) WITH (fillfactor = 50)
