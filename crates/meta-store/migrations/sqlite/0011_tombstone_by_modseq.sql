-- why: answers what vanished since a modseq, alone
CREATE INDEX tombstone_by_modseq ON tombstone (part, account, mailbox, modseq, uid)
