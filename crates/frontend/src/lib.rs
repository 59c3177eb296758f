//! IMAP and LMTP front-end: TLS, connections, commands, selected mailboxes.

mod enabled;
mod selected;
