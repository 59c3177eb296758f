-- why: where the next page of an arriving account begins at its source
ALTER TABLE account ADD COLUMN place_cursor bytea
