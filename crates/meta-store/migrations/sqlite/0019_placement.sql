-- why: where accounts live
CREATE TABLE placement (
    part integer NOT NULL,
    account integer NOT NULL,
    tenant integer NOT NULL,
    local text NOT NULL,
    domain text NOT NULL,
    shard integer NOT NULL,
    epoch integer NOT NULL,
    state integer NOT NULL,
    created_at integer NOT NULL,
    PRIMARY KEY (part, account)
) WITHOUT ROWID
