-- why: what the directory counts shards from
ALTER TABLE group_head ADD COLUMN next_group integer NOT NULL DEFAULT 1
