-- why: an expunged message keeps all its columns but takes the modseq of the expunge
INSERT INTO tombstone (part, account, mailbox, uid, modseq, flags, keywords_low, keywords_high, size,
    internal_seconds, zone_minutes, saved_at, body_object, body_offset, body_length, body_encoding, body_key,
    expunged_at)
SELECT message.part, message.account, message.mailbox, message.uid, input.modseq, message.flags,
    message.keywords_low, message.keywords_high, message.size, message.internal_seconds, message.zone_minutes,
    message.saved_at, message.body_object, message.body_offset, message.body_length, message.body_encoding,
    message.body_key, input.expunged_at
-- why CROSS JOIN: SQLite keeps its order, so that each run is one walk along the key
FROM input CROSS JOIN message
WHERE message.part = input.part AND message.account = input.account AND message.mailbox = input.mailbox
  AND message.uid BETWEEN input.first AND input.last
