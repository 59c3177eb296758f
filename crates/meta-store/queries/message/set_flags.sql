-- why: only these columns are in no index, so that Postgres rewrites the row in its page (HOT)
UPDATE message
SET modseq = input.modseq, flags = input.flags, keywords_low = input.keywords_low,
    keywords_high = input.keywords_high
FROM input
WHERE message.part = input.part AND message.account = input.account AND message.mailbox = input.mailbox
  AND message.uid = input.uid
