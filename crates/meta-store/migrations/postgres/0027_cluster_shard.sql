-- why: the cluster's shards; accounts changes with each account made or deleted
CREATE TABLE cluster_shard (
    part bigint NOT NULL,
    group_id bigint NOT NULL,
    voters bytea NOT NULL,
    accounts bigint NOT NULL,
    PRIMARY KEY (part, group_id)
) WITH (fillfactor = 50)
