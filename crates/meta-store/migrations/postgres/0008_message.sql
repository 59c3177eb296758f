-- why: narrow, no index on flags or modseq: docs/decisions/0002-message-rows.md
CREATE TABLE message (
    part bigint NOT NULL,
    account bigint NOT NULL,
    mailbox bigint NOT NULL,
    uid bigint NOT NULL,
    modseq bigint NOT NULL,
    keywords_low bigint NOT NULL,
    keywords_high bigint NOT NULL,
    size bigint NOT NULL,
    internal_seconds bigint NOT NULL,
    saved_at bigint NOT NULL,
    body_offset bigint NOT NULL,
    body_length bigint NOT NULL,
    body_key bigint NOT NULL,
    flags smallint NOT NULL,
    zone_minutes smallint NOT NULL,
    body_encoding smallint NOT NULL,
    body_object bytea NOT NULL,
    PRIMARY KEY (part, account, mailbox, uid)
) WITH (fillfactor = 50)
