SELECT summary.uid, summary.body
FROM input CROSS JOIN summary
WHERE summary.part = input.part AND summary.account = input.account AND summary.mailbox = input.mailbox
  AND summary.uid BETWEEN input.first AND input.last
