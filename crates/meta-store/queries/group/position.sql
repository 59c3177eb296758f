-- why one statement: what it sees of `applied` was committed before the insert position is read, and a server that
-- crashes in between answers nothing
SELECT applied,
    pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint,
    pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint,
    (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint,
    (SELECT value FROM crash_canary)
FROM group_head
WHERE group_id = $1
