-- why each side has its limit: neither may be sorted whole
SELECT uid FROM (
    SELECT uid FROM (
        SELECT uid FROM message WHERE part = $1 AND account = $2 AND mailbox = $3 ORDER BY uid LIMIT $4) live
    UNION ALL
    SELECT uid FROM (
        SELECT uid FROM tombstone WHERE part = $1 AND account = $2 AND mailbox = $3 ORDER BY uid LIMIT $4) dead
) residue
ORDER BY uid LIMIT $4
