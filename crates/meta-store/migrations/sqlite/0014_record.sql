-- why: what requests came to; come and go in order
CREATE TABLE record (
    part integer NOT NULL,
    instance blob NOT NULL,
    sequence integer NOT NULL,
    accounts blob NOT NULL,
    outcome blob NOT NULL,
    PRIMARY KEY (part, instance, sequence)
) WITHOUT ROWID
