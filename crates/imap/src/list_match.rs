//! Patterns of LIST: `*` matches anything, `%` anything but the separator (RFC 9051 §6.3.9).
