-- why: apart from the message, so that a cold fill does not read it
CREATE TABLE summary (
    part integer NOT NULL,
    account integer NOT NULL,
    mailbox integer NOT NULL,
    uid integer NOT NULL,
    body blob NOT NULL,
    PRIMARY KEY (part, account, mailbox, uid)
)
