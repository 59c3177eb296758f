-- why: the cluster's nodes; "node" is who owns this database
CREATE TABLE cluster_node (
    part integer NOT NULL,
    id integer NOT NULL,
    address text NOT NULL,
    zone text,
    state integer NOT NULL,
    incarnation blob NOT NULL,
    added_at integer NOT NULL,
    PRIMARY KEY (part, id)
) WITHOUT ROWID
