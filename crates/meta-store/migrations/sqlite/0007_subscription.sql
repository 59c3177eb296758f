-- why: names that need not exist
CREATE TABLE subscription (
    part integer NOT NULL,
    account integer NOT NULL,
    name text NOT NULL,
    PRIMARY KEY (part, account, name)
) WITHOUT ROWID
