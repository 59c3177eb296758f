-- why the column order: the index (part, account, mailbox, modseq, uid) answers alone
SELECT uid FROM tombstone
WHERE part = $1 AND account = $2 AND mailbox = $3 AND modseq > $4
ORDER BY modseq, uid
