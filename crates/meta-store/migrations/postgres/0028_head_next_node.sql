-- why: what the directory counts nodes from
ALTER TABLE group_head ADD COLUMN next_node bigint NOT NULL DEFAULT 1
