-- why: apart from the message, so that a cold fill does not read it
CREATE TABLE summary (
    part bigint NOT NULL,
    account bigint NOT NULL,
    mailbox bigint NOT NULL,
    uid bigint NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (part, account, mailbox, uid)
)
