-- why: clients of the log
CREATE TABLE instance (
    part integer NOT NULL,
    id blob NOT NULL,
    opened_at integer NOT NULL,
    forget_below integer NOT NULL,
    PRIMARY KEY (part, id)
) WITHOUT ROWID
