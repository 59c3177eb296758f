-- why: no index on counters or name: names are unique in memory
CREATE TABLE mailbox (
    part integer NOT NULL,
    account integer NOT NULL,
    id integer NOT NULL,
    name text NOT NULL,
    state integer NOT NULL,
    uid_validity integer NOT NULL,
    special_use integer,
    keywords text NOT NULL,
    tombstone_floor integer NOT NULL,
    created_at integer NOT NULL,
    uid_next integer,
    recent_from integer,
    modseq integer NOT NULL,
    messages integer NOT NULL,
    unseen integer NOT NULL,
    deleted integer NOT NULL,
    bytes integer NOT NULL,
    PRIMARY KEY (part, account, id)
) WITHOUT ROWID
