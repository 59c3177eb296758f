-- why: moves of accounts that are pending; few, and gone when they are over
CREATE TABLE account_move (
    part bigint NOT NULL,
    account bigint NOT NULL,
    from_shard bigint NOT NULL,
    to_shard bigint NOT NULL,
    epoch bigint NOT NULL,
    state bigint NOT NULL,
    began_at bigint NOT NULL,
    PRIMARY KEY (part, account)
) WITH (fillfactor = 50)
