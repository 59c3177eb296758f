-- why: where accounts live
CREATE TABLE placement (
    part bigint NOT NULL,
    account bigint NOT NULL,
    tenant bigint NOT NULL,
    local text COLLATE "C" NOT NULL,
    domain text COLLATE "C" NOT NULL,
    shard bigint NOT NULL,
    epoch bigint NOT NULL,
    state bigint NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (part, account)
)
