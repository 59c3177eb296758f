SELECT uid, modseq, flags, keywords_low, keywords_high, size, internal_seconds, zone_minutes, saved_at,
    body_object, body_offset, body_length, body_encoding, body_key
FROM message
WHERE part = $1 AND account = $2 AND mailbox = $3 AND uid BETWEEN $4 AND $5
ORDER BY uid
