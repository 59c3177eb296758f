-- why: to find staged copies without walking through their rows
CREATE INDEX staged_first ON staged (part, account, staging) WHERE ordinal = 0
