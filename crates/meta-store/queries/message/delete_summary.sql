-- why a subselect: SQLite has no DELETE … USING; CROSS JOIN keeps its order, one walk along the key for each run
DELETE FROM summary
WHERE (part, account, mailbox, uid) IN (
    SELECT summary.part, summary.account, summary.mailbox, summary.uid
    FROM input CROSS JOIN summary
    WHERE summary.part = input.part AND summary.account = input.account AND summary.mailbox = input.mailbox
      AND summary.uid BETWEEN input.first AND input.last)
