-- why: the cluster's nodes; "node" is who owns this database
CREATE TABLE cluster_node (
    part bigint NOT NULL,
    id bigint NOT NULL,
    address text NOT NULL,
    zone text,
    state bigint NOT NULL,
    incarnation bytea NOT NULL,
    added_at bigint NOT NULL,
    PRIMARY KEY (part, id)
)
