-- why a subselect: SQLite has no DELETE … USING; CROSS JOIN keeps its order, one walk along the key for each run
DELETE FROM message
WHERE (part, account, mailbox, uid) IN (
    SELECT message.part, message.account, message.mailbox, message.uid
    FROM input CROSS JOIN message
    WHERE message.part = input.part AND message.account = input.account AND message.mailbox = input.mailbox
      AND message.uid BETWEEN input.first AND input.last)
