//! Modified UTF-7, the encoding of mailbox names before IMAP4rev2 (RFC 3501 §5.1.3).
