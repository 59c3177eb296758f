-- why: the name as bytes, since nobody keeps NUL out of it
CREATE TABLE tenant (
    part integer NOT NULL,
    id integer NOT NULL,
    name blob NOT NULL,
    accounts_max integer,
    accounts integer NOT NULL,
    domains integer NOT NULL,
    created_at integer NOT NULL,
    PRIMARY KEY (part, id)
) WITHOUT ROWID
