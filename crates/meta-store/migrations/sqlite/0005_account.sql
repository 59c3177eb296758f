-- why: counters change with every message
CREATE TABLE account (
    part integer NOT NULL,
    id integer NOT NULL,
    tenant integer NOT NULL,
    epoch integer NOT NULL,
    local text NOT NULL,
    domain text NOT NULL,
    state integer NOT NULL,
    credential blob,
    credential_version integer NOT NULL,
    quota_bytes integer,
    quota_messages integer,
    last_uid_validity integer NOT NULL,
    next_mailbox integer NOT NULL,
    created_at integer NOT NULL,
    modseq integer NOT NULL,
    bytes integer NOT NULL,
    messages integer NOT NULL,
    PRIMARY KEY (part, id)
) WITHOUT ROWID
