-- why: a copy shares its source's summary; the source may have none, then the copy has none either
INSERT INTO summary (part, account, mailbox, uid, body)
SELECT input.part, input.account, input.mailbox, input.uid, source.body
FROM input CROSS JOIN summary source
WHERE source.part = input.part AND source.account = input.account
  AND source.mailbox = input.source_mailbox AND source.uid = input.source_uid
