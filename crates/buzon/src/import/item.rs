//! One message to be imported, whatever it comes from.

/// A message with what its store knew of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// Whole name.
    pub(super) mailbox: String,
    /// `\Seen` and the like, and keywords.
    pub(super) flags: Vec<String>,
    /// When it came, in seconds since 1970.
    pub(super) date: Option<i64>,
    /// Its bytes.
    pub(super) message: Vec<u8>,
}

/// Flags in `Status:` and `X-Status:`, as mbox programs keep them.
pub(super) fn flags_of_status(message: &[u8]) -> Vec<String> {
    let mut flags = Vec::new();
    for line in message.split(|&byte| byte == b'\n') {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        let known: &[(char, &str)] = match name.to_ascii_lowercase().as_str() {
            "status" => &[('R', "\\Seen")],
            "x-status" => &[('A', "\\Answered"), ('F', "\\Flagged"), ('D', "\\Deleted"), ('T', "\\Draft")],
            _ => continue,
        };
        flags.extend(
            known.iter().filter(|(letter, _)| value.contains(*letter)).map(|(_, flag)| (*flag).to_owned()),
        );
    }
    flags
}

/// Lines must end in CRLF on the wire. A file whose first line ends in a bare LF is a Unix file: all its bare LFs
/// become CRLF. Any other is kept byte for byte.
pub(super) fn with_crlf(message: Vec<u8>) -> Vec<u8> {
    let first = message.iter().position(|&byte| byte == b'\n');
    if first.is_none_or(|at| at > 0 && message[at - 1] == b'\r') {
        return message;
    }
    let mut wire = Vec::with_capacity(message.len() + message.len() / 32);
    let mut before = 0;
    for byte in message {
        if byte == b'\n' && before != b'\r' {
            wire.push(b'\r');
        }
        wire.push(byte);
        before = byte;
    }
    wire
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_files_get_crlf_and_others_stay() {
        assert_eq!(with_crlf(b"a\nb\r\nc\n".to_vec()), b"a\r\nb\r\nc\r\n");
        assert_eq!(with_crlf(b"a\r\nb\nc".to_vec()), b"a\r\nb\nc");
        assert_eq!(with_crlf(b"a".to_vec()), b"a");
        assert_eq!(with_crlf(b"\na".to_vec()), b"\r\na");
    }
}
