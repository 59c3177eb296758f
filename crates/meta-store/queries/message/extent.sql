SELECT messages,
    (SELECT min(uid) FROM message WHERE part = $1 AND account = $2 AND mailbox = $3),
    (SELECT max(uid) FROM message WHERE part = $1 AND account = $2 AND mailbox = $3)
FROM mailbox
WHERE part = $1 AND account = $2 AND id = $3
