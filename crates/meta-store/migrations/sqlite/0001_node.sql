-- why: who owns this database, and the last part given out
CREATE TABLE node (
    only_row integer PRIMARY KEY CHECK (only_row = 1),
    cluster blob,
    node integer,
    incarnation blob,
    last_part integer NOT NULL,
    flushes integer NOT NULL
)
