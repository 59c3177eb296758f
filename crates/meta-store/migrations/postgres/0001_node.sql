-- why: who owns this database, and the last part given out
CREATE TABLE node (
    only_row bigint PRIMARY KEY CHECK (only_row = 1),
    cluster bytea,
    node bigint,
    incarnation bytea,
    last_part bigint NOT NULL,
    flushes bigint NOT NULL
)
