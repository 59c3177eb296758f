-- why: the first schema whose versions may still read this database; raised by a step that earlier ones cannot live with
ALTER TABLE node ADD COLUMN reader_min integer NOT NULL DEFAULT 0
