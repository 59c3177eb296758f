-- why: names that need not exist
CREATE TABLE subscription (
    part bigint NOT NULL,
    account bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    PRIMARY KEY (part, account, name)
)
