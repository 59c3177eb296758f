-- why: the one row
INSERT INTO node (only_row, last_part, flushes) VALUES (1, 0, 0)
