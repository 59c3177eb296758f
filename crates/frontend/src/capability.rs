//! What is advertised: only what is whole (RFC 9051 §7.2.2).

use std::borrow::Cow;

/// Before and after login; the rest depends on the connection.
const ALWAYS: [&str; 6] = ["IMAP4rev2", "IMAP4rev1", "LITERAL+", "ID", "ENABLE", "SASL-IR"];
/// Of no use before login, and left out there to keep the greeting short.
const LOGGED_IN: [&str; 16] = [
    "IDLE",
    "NAMESPACE",
    "UIDPLUS",
    "UNSELECT",
    "CHILDREN",
    "LIST-EXTENDED",
    "LIST-STATUS",
    "SPECIAL-USE",
    "CREATE-SPECIAL-USE",
    "STATUS=SIZE",
    "MOVE",
    "CONDSTORE",
    "ESEARCH",
    "SEARCHRES",
    "WITHIN",
    "BINARY",
];

/// What decides about the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Whether somebody is logged in.
    pub(crate) logged_in: bool,
    /// Whether STARTTLS can be asked for.
    pub(crate) can_start_tls: bool,
    /// Whether a password may be sent as things are.
    pub(crate) may_log_in: bool,
}

/// The list; the same whenever nothing of this changed.
pub(crate) fn capabilities(standing: Standing) -> Vec<Cow<'static, str>> {
    let mut names: Vec<Cow<'static, str>> = ALWAYS.into_iter().map(Cow::Borrowed).collect();
    if standing.logged_in {
        names.extend(LOGGED_IN.into_iter().map(Cow::Borrowed));
        return names;
    }
    if standing.can_start_tls {
        names.push(Cow::Borrowed("STARTTLS"));
    }
    if standing.may_log_in {
        names.extend(["AUTH=PLAIN", "AUTH=LOGIN"].map(Cow::Borrowed));
    } else {
        names.push(Cow::Borrowed("LOGINDISABLED"));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_offered_only_where_they_may_be_sent() {
        let mut standing = Standing { logged_in: false, can_start_tls: true, may_log_in: false };
        let names = capabilities(standing);
        assert!(
            names.iter().any(|name| name == "LOGINDISABLED") && names.iter().any(|name| name == "STARTTLS")
        );
        assert!(!names.iter().any(|name| name.starts_with("AUTH=")));
        standing.may_log_in = true;
        assert!(capabilities(standing).iter().any(|name| name == "AUTH=PLAIN"));
        standing.logged_in = true;
        let names = capabilities(standing);
        assert!(names.iter().any(|name| name == "IDLE") && !names.iter().any(|name| name == "QRESYNC"));
    }
}
