INSERT INTO summary (part, account, mailbox, uid, body)
SELECT part, account, $4, $5 + ordinal, summary
FROM staged
WHERE part = $1 AND account = $2 AND staging = $3 AND summary IS NOT NULL
ORDER BY ordinal
