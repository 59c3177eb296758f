-- why: rewritten by every batch
CREATE TABLE group_head (
    group_id integer PRIMARY KEY,
    part integer NOT NULL,
    applied integer NOT NULL,
    log_id blob NOT NULL,
    membership blob NOT NULL,
    time integer NOT NULL,
    feature_level integer NOT NULL,
    next_tenant integer NOT NULL,
    next_account integer NOT NULL
)
