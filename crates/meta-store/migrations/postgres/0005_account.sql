-- why: counters change with every message: room in the page keeps updates there (HOT)
CREATE TABLE account (
    part bigint NOT NULL,
    id bigint NOT NULL,
    tenant bigint NOT NULL,
    epoch bigint NOT NULL,
    local text COLLATE "C" NOT NULL,
    domain text COLLATE "C" NOT NULL,
    state bigint NOT NULL,
    credential bytea,
    credential_version bigint NOT NULL,
    quota_bytes bigint,
    quota_messages bigint,
    last_uid_validity bigint NOT NULL,
    next_mailbox bigint NOT NULL,
    created_at bigint NOT NULL,
    modseq bigint NOT NULL,
    bytes bigint NOT NULL,
    messages bigint NOT NULL,
    PRIMARY KEY (part, id)
) WITH (fillfactor = 50)
