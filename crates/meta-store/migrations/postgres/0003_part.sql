-- why: state 1: in use, 2: being staged, 3: being dropped
CREATE TABLE part (
    part bigint PRIMARY KEY,
    group_id bigint NOT NULL,
    state bigint NOT NULL
)
