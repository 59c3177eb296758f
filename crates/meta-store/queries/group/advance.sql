-- why `applied = $2`: a database that lost its last transactions is never written over the hole
UPDATE group_head
SET applied = $3, log_id = $4, membership = COALESCE($5, membership), time = COALESCE($6, time),
    feature_level = COALESCE($7, feature_level), next_tenant = COALESCE($8, next_tenant),
    next_account = COALESCE($9, next_account), next_node = COALESCE($10, next_node),
    next_group = COALESCE($11, next_group), voters_per_shard = COALESCE($12, voters_per_shard),
    digest = COALESCE($13, digest)
WHERE group_id = $1 AND applied = $2
RETURNING part
