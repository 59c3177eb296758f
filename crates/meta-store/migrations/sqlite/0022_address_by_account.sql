-- why: to free an account's addresses
CREATE INDEX address_by_account ON address (part, account)
