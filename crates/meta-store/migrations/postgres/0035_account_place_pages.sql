-- why: pages that have arrived of an account
ALTER TABLE account ADD COLUMN place_pages bigint
