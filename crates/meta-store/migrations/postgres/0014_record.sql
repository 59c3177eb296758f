-- why: what requests came to; come and go in order
CREATE TABLE record (
    part bigint NOT NULL,
    instance bytea NOT NULL,
    sequence bigint NOT NULL,
    accounts bytea NOT NULL,
    outcome bytea NOT NULL,
    PRIMARY KEY (part, instance, sequence)
)
