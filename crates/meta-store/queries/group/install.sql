-- why an upsert: the group may never have been here, or may be replaced
INSERT INTO group_head (group_id, part, applied, log_id, membership, time, feature_level, next_tenant, next_account,
    next_node, next_group, voters_per_shard, digest)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (group_id) DO UPDATE
SET part = excluded.part, applied = excluded.applied, log_id = excluded.log_id, membership = excluded.membership,
    time = excluded.time, feature_level = excluded.feature_level, next_tenant = excluded.next_tenant,
    next_account = excluded.next_account, next_node = excluded.next_node, next_group = excluded.next_group,
    voters_per_shard = excluded.voters_per_shard, digest = excluded.digest
