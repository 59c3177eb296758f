SELECT ordinal, source_mailbox, uid, modseq, flags, keywords_low, keywords_high, size, internal_seconds,
    zone_minutes, saved_at, body_object, body_offset, body_length, body_encoding, body_key, target
FROM staged
WHERE part = $1 AND account = $2 AND staging = $3
ORDER BY ordinal
