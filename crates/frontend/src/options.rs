//! What the operator chooses about IMAP. Plain values: the binary reads them from its configuration.

use std::time::Duration;

use buzon_imap::session::Limits;

/// How IMAP sessions behave.
#[derive(Debug, Clone)]
pub struct ImapOptions {
    /// The name this server gives itself in its greeting.
    pub host_name: String,
    /// Largest message of APPEND.
    pub append_bytes_max: u64,
    /// Memory for summaries read lately.
    pub summary_cache_bytes_max: u64,
    /// What one command may take.
    pub limits: Limits,
    /// From connecting to logging in.
    pub login_timeout: Duration,
    /// A session without any command for so long ends (RFC 9051 §5.4 wants at least 30 minutes).
    pub autologout: Duration,
    /// IDLE says "still here" so often: NATs and Outlook drop silent connections.
    pub idle_keepalive: Duration,
    /// Password checks at one time; each takes a core and tens of MiB for tens of milliseconds.
    pub password_checks_max: usize,
    /// A failed login waits so long before it is answered; longer with each further one of the same peer.
    pub failure_delay: Duration,
}

impl Default for ImapOptions {
    fn default() -> Self {
        Self {
            host_name: "localhost".to_owned(),
            append_bytes_max: 50 << 20,
            summary_cache_bytes_max: 256 << 20,
            limits: Limits::default(),
            login_timeout: Duration::from_secs(60),
            autologout: Duration::from_secs(30 * 60),
            idle_keepalive: Duration::from_secs(2 * 60),
            password_checks_max: 4,
            failure_delay: Duration::from_secs(1),
        }
    }
}
