UPDATE account
SET modseq = input.modseq, bytes = input.bytes, messages = input.messages
FROM input
WHERE account.part = input.part AND account.id = input.id
