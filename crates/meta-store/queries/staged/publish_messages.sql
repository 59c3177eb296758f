INSERT INTO message (part, account, mailbox, uid, modseq, flags, keywords_low, keywords_high, size,
    internal_seconds, zone_minutes, saved_at, body_object, body_offset, body_length, body_encoding, body_key)
SELECT part, account, $4, $5 + ordinal, $6, flags, keywords_low, keywords_high, size, internal_seconds,
    zone_minutes, $7, body_object, body_offset, body_length, body_encoding, body_key
FROM staged
WHERE part = $1 AND account = $2 AND staging = $3
ORDER BY ordinal
