//! FETCH responses, written piece by piece (RFC 9051 §7.5.2, RFC 3516, RFC 7162 §3.1.4).
