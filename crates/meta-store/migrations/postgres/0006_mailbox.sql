-- why: no index on counters or name: names are unique in memory, updates stay in their page (HOT)
CREATE TABLE mailbox (
    part bigint NOT NULL,
    account bigint NOT NULL,
    id bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    state bigint NOT NULL,
    uid_validity bigint NOT NULL,
    special_use bigint,
    keywords text NOT NULL,
    tombstone_floor bigint NOT NULL,
    created_at bigint NOT NULL,
    uid_next bigint,
    recent_from bigint,
    modseq bigint NOT NULL,
    messages bigint NOT NULL,
    unseen bigint NOT NULL,
    deleted bigint NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (part, account, id)
) WITH (fillfactor = 50)
