-- why the literal: only so is it seen that mailbox_deleting has all that is asked for
SELECT account, id FROM mailbox
WHERE part = $1 AND state = 2 AND (account, id) > ($2, $3)
ORDER BY account, id LIMIT $4
