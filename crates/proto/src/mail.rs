//! Reads and events of MailService.
