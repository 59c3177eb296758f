-- why: the group's state digest after its last entry; null below the feature level that has it
ALTER TABLE group_head ADD COLUMN digest bytea
