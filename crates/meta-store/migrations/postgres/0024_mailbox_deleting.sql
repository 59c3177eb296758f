-- why: to find what a crash left of them; only these rows are in it, and state changes once, so updates of counters stay in
-- their page (HOT)
CREATE INDEX mailbox_deleting ON mailbox (part, account, id) WHERE state = 2
