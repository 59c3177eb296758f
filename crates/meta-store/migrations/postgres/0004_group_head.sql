-- why: rewritten by every batch: one page to itself in Postgres, so that updates stay in it (HOT)
CREATE TABLE group_head (
    group_id bigint PRIMARY KEY,
    part bigint NOT NULL,
    applied bigint NOT NULL,
    log_id bytea NOT NULL,
    membership bytea NOT NULL,
    time bigint NOT NULL,
    feature_level bigint NOT NULL,
    next_tenant bigint NOT NULL,
    next_account bigint NOT NULL
) WITH (fillfactor = 20)
