-- why: the epoch that an account has after its move
ALTER TABLE account ADD COLUMN place_epoch integer
