-- why the first of each: a staged copy may have a million rows (staged_first)
SELECT account, staging FROM staged
WHERE part = $1 AND ordinal = 0 AND (account, staging) > ($2, $3)
ORDER BY account, staging LIMIT $4
