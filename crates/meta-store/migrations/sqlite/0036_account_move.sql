-- why: moves of accounts that are pending; few, and gone when they are over
CREATE TABLE account_move (
    part integer NOT NULL,
    account integer NOT NULL,
    from_shard integer NOT NULL,
    to_shard integer NOT NULL,
    epoch integer NOT NULL,
    state integer NOT NULL,
    began_at integer NOT NULL,
    PRIMARY KEY (part, account)
) WITHOUT ROWID
