-- why: the cluster's shards; accounts changes with each account made or deleted
CREATE TABLE cluster_shard (
    part integer NOT NULL,
    group_id integer NOT NULL,
    voters blob NOT NULL,
    accounts integer NOT NULL,
    PRIMARY KEY (part, group_id)
) WITHOUT ROWID
