-- why: expunged messages; never updated
CREATE TABLE tombstone (
    part integer NOT NULL,
    account integer NOT NULL,
    mailbox integer NOT NULL,
    uid integer NOT NULL,
    modseq integer NOT NULL,
    keywords_low integer NOT NULL,
    keywords_high integer NOT NULL,
    size integer NOT NULL,
    internal_seconds integer NOT NULL,
    saved_at integer NOT NULL,
    body_offset integer NOT NULL,
    body_length integer NOT NULL,
    body_key integer NOT NULL,
    flags integer NOT NULL,
    zone_minutes integer NOT NULL,
    body_encoding integer NOT NULL,
    body_object blob NOT NULL,
    expunged_at integer NOT NULL,
    PRIMARY KEY (part, account, mailbox, uid)
) WITHOUT ROWID
