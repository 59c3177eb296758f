-- why: the shard that an account moves to or from
ALTER TABLE account ADD COLUMN place_shard bigint
