-- why: clients of the log
CREATE TABLE instance (
    part bigint NOT NULL,
    id bytea NOT NULL,
    opened_at bigint NOT NULL,
    forget_below bigint NOT NULL,
    PRIMARY KEY (part, id)
) WITH (fillfactor = 50)
