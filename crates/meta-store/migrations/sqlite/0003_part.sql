-- why: state 1: in use, 2: being staged, 3: being dropped
CREATE TABLE part (
    part integer PRIMARY KEY,
    group_id integer NOT NULL,
    state integer NOT NULL
)
