-- why: how many voters a shard shall have; 0 until the cluster is founded
ALTER TABLE group_head ADD COLUMN voters_per_shard integer NOT NULL DEFAULT 0
