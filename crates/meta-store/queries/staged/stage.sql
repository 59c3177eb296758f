-- why the summary comes along: its source may be purged before the copy is published
INSERT INTO staged (part, account, staging, ordinal, target, source_mailbox, uid, modseq, flags, keywords_low,
    keywords_high, size, internal_seconds, zone_minutes, saved_at, body_object, body_offset, body_length,
    body_encoding, body_key, summary)
SELECT input.part, input.account, input.staging, input.ordinal, input.target, input.source_mailbox, input.uid,
    input.modseq, input.flags, input.keywords_low, input.keywords_high, input.size, input.internal_seconds,
    input.zone_minutes, input.saved_at, input.body_object, input.body_offset, input.body_length,
    input.body_encoding, input.body_key, source.body
FROM input LEFT JOIN summary source ON source.part = input.part AND source.account = input.account
  AND source.mailbox = input.source_mailbox AND source.uid = input.uid
