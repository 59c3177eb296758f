SELECT tombstone.uid, modseq, flags, keywords_low, keywords_high, size, internal_seconds, zone_minutes, saved_at,
    body_object, body_offset, body_length, body_encoding, body_key, expunged_at
FROM input CROSS JOIN tombstone
WHERE tombstone.part = input.part AND tombstone.account = input.account AND tombstone.mailbox = input.mailbox
  AND tombstone.uid BETWEEN input.first AND input.last
