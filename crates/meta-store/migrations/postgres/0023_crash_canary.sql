-- why unlogged: a crash empties it, a clean stop does not; so whoever finds it empty knows that commits may be lost
CREATE UNLOGGED TABLE crash_canary (
    only_row bigint PRIMARY KEY CHECK (only_row = 1),
    value bigint NOT NULL
)
