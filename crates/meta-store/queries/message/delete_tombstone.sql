-- why a subselect: SQLite has no DELETE … USING; CROSS JOIN keeps its order, one walk along the key for each run
DELETE FROM tombstone
WHERE (part, account, mailbox, uid) IN (
    SELECT tombstone.part, tombstone.account, tombstone.mailbox, tombstone.uid
    FROM input CROSS JOIN tombstone
    WHERE tombstone.part = input.part AND tombstone.account = input.account AND tombstone.mailbox = input.mailbox
      AND tombstone.uid BETWEEN input.first AND input.last)
