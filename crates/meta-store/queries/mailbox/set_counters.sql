UPDATE mailbox
SET uid_next = input.uid_next, recent_from = input.recent_from, modseq = input.modseq,
    messages = input.messages, unseen = input.unseen, deleted = input.deleted, bytes = input.bytes
FROM input
WHERE mailbox.part = input.part AND mailbox.account = input.account AND mailbox.id = input.id
