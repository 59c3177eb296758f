//! The commands of LMTP (RFC 2033), with the extensions that are offered: SIZE (RFC 1870), 8BITMIME (RFC 6152),
//! SMTPUTF8 (RFC 6531), CHUNKING (RFC 3030). A line in, a command or the reply that refuses it out.

use buzon_types::address::Address;

/// Longest command line, CRLF included: 512 (RFC 5321 §4.5.3.1.4), 26 for SIZE, 10 for SMTPUTF8 and room for
/// parameters of clients that send more.
pub(crate) const LINE_BYTES_MAX: usize = 2048;

/// A command that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// LHLO, with the client's name for itself.
    Lhlo(String),
    /// MAIL FROM
    Mail(Mail),
    /// RCPT TO, with the path as it was written, for replies.
    Rcpt(Address, String),
    /// DATA
    Data,
    /// BDAT: so many bytes follow; whether they are the last.
    Bdat {
        /// Bytes that follow the line.
        bytes: u64,
        /// The message ends with them.
        last: bool,
    },
    /// RSET
    Reset,
    /// NOOP
    Noop,
    /// VRFY
    Verify,
    /// STARTTLS (RFC 3207)
    StartTls,
    /// QUIT
    Quit,
}

/// MAIL FROM and its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Mail {
    /// The reverse-path without its brackets; empty for a bounce.
    pub(crate) from: String,
    /// SIZE=
    pub(crate) size: Option<u64>,
    /// SMTPUTF8
    pub(crate) utf8: bool,
}

/// A line that is answered with an error: the whole reply without CRLF.
pub(crate) type Refusal = &'static str;

const SYNTAX: Refusal = "501 5.5.4 Syntax error in parameters";
const UNKNOWN: Refusal = "500 5.5.1 Command not recognised";
const NOT_LMTP: Refusal = "500 5.5.1 This is LMTP: use LHLO (RFC 2033 section 4.1)";
const UNKNOWN_PARAMETER: Refusal = "555 5.5.4 Parameter not recognised";

/// Reads a line without its CRLF.
pub(crate) fn parse(line: &[u8]) -> Result<Command, Refusal> {
    let line = std::str::from_utf8(line).map_err(|_| "500 5.5.2 Line is not UTF-8")?.trim_end();
    let (verb, rest) = line.split_once(' ').map_or((line, ""), |(verb, rest)| (verb, rest.trim_start()));
    match verb.to_ascii_uppercase().as_str() {
        "LHLO" if rest.is_empty() => Err("501 5.5.4 LHLO needs a name"),
        "LHLO" => Ok(Command::Lhlo(rest.chars().filter(|c| !c.is_control()).take(255).collect())),
        "HELO" | "EHLO" => Err(NOT_LMTP),
        "MAIL" => mail(rest),
        "RCPT" => rcpt(rest),
        "DATA" if rest.is_empty() => Ok(Command::Data),
        "BDAT" => bdat(rest),
        "RSET" if rest.is_empty() => Ok(Command::Reset),
        "NOOP" => Ok(Command::Noop),
        "VRFY" => Ok(Command::Verify),
        "STARTTLS" if rest.is_empty() => Ok(Command::StartTls),
        "QUIT" if rest.is_empty() => Ok(Command::Quit),
        "DATA" | "RSET" | "STARTTLS" | "QUIT" => Err(SYNTAX),
        _ => Err(UNKNOWN),
    }
}

/// mail = "MAIL FROM:" Reverse-path [SP Mail-parameters] CRLF
fn mail(rest: &str) -> Result<Command, Refusal> {
    let (path, parameters) = path(keyword(rest, "FROM:")?)?;
    let mut mail = Mail { from: path.to_owned(), ..Mail::default() };
    for parameter in parameters.split_ascii_whitespace() {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match name.to_ascii_uppercase().as_str() {
            "SIZE" => mail.size = Some(value.parse().map_err(|_| SYNTAX)?),
            "BODY" if value.eq_ignore_ascii_case("7BIT") || value.eq_ignore_ascii_case("8BITMIME") => {}
            "SMTPUTF8" if value.is_empty() => mail.utf8 = true,
            _ => return Err(UNKNOWN_PARAMETER),
        }
    }
    if !mail.utf8 && !mail.from.is_ascii() {
        return Err("553 5.6.7 Address needs SMTPUTF8");
    }
    Ok(Command::Mail(mail))
}

/// rcpt = "RCPT TO:" Forward-path [SP Rcpt-parameters] CRLF
fn rcpt(rest: &str) -> Result<Command, Refusal> {
    let (path, parameters) = path(keyword(rest, "TO:")?)?;
    if !parameters.is_empty() {
        return Err(UNKNOWN_PARAMETER);
    }
    let address = Address::new(path).map_err(|_| "553 5.1.3 Not a mailbox address")?;
    Ok(Command::Rcpt(address, path.to_owned()))
}

/// bdat-cmd = "BDAT" SP chunk-size [SP "LAST"] CRLF
fn bdat(rest: &str) -> Result<Command, Refusal> {
    let mut words = rest.split_ascii_whitespace();
    let bytes = words.next().and_then(|word| word.parse().ok()).ok_or(SYNTAX)?;
    let last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("LAST") => true,
        Some(_) => return Err(SYNTAX),
    };
    if words.next().is_some() { Err(SYNTAX) } else { Ok(Command::Bdat { bytes, last }) }
}

fn keyword<'a>(rest: &'a str, word: &str) -> Result<&'a str, Refusal> {
    match rest.get(..word.len()) {
        Some(head) if head.eq_ignore_ascii_case(word) => Ok(rest[word.len()..].trim_start()),
        _ => Err(SYNTAX),
    }
}

/// The path within `<` and `>` without a source route (RFC 5321 §4.1.2 and appendix F.2), and what follows.
fn path(rest: &str) -> Result<(&str, &str), Refusal> {
    let inner = rest.strip_prefix('<').ok_or(SYNTAX)?;
    let end = closing_bracket(inner).ok_or(SYNTAX)?;
    let (path, after) = (&inner[..end], &inner[end + 1..]);
    if path.chars().any(char::is_control) || !(after.is_empty() || after.starts_with(' ')) {
        return Err(SYNTAX);
    }
    let path = match path.strip_prefix('@') {
        Some(route) => route.split_once(':').ok_or(SYNTAX)?.1,
        None => path,
    };
    Ok((path, after.trim_start()))
}

/// Where the path ends: a `>` within a quoted local part does not count.
fn closing_bracket(inner: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(from: &str, size: Option<u64>, utf8: bool) -> Result<Command, Refusal> {
        Ok(Command::Mail(Mail { from: from.to_owned(), size, utf8 }))
    }

    #[test]
    fn commands_are_read_in_any_case() {
        assert_eq!(parse(b"lhlo mx.example"), Ok(Command::Lhlo("mx.example".into())));
        assert_eq!(
            parse(b"MAIL FROM:<a@b.example> SIZE=12 BODY=8BITMIME"),
            mail("a@b.example", Some(12), false)
        );
        assert_eq!(parse(b"mail from: <>"), mail("", None, false));
        assert_eq!(parse(b"MAIL FROM:<@x.example,@y.example:a@b.example>"), mail("a@b.example", None, false));
        assert_eq!(
            parse("MAIL FROM:<jörg@b.example> SMTPUTF8".as_bytes()),
            mail("jörg@b.example", None, true)
        );
        assert_eq!(parse(b"MAIL FROM:<\"a>b\"@c.example>"), mail("\"a>b\"@c.example", None, false));
        let rcpt = parse(b"RCPT TO:<Ana@Example.com>").unwrap();
        assert_eq!(rcpt, Command::Rcpt(Address::new("ana@example.com").unwrap(), "Ana@Example.com".into()));
        assert_eq!(parse(b"BDAT 100 last"), Ok(Command::Bdat { bytes: 100, last: true }));
        assert_eq!(parse(b"BDAT 0"), Ok(Command::Bdat { bytes: 0, last: false }));
        assert_eq!(parse(b"quit "), Ok(Command::Quit));
    }

    #[test]
    fn bad_lines_get_the_fitting_error() {
        assert_eq!(parse(b"EHLO x"), Err(NOT_LMTP));
        assert_eq!(parse(b"MAIL FROM:a@b"), Err(SYNTAX));
        assert_eq!(parse(b"MAIL FROM:<a@b> SIZE=x"), Err(SYNTAX));
        assert_eq!(parse(b"MAIL FROM:<a@b> BODY=BINARYMIME"), Err(UNKNOWN_PARAMETER));
        assert_eq!(parse("MAIL FROM:<jörg@b>".as_bytes()), Err("553 5.6.7 Address needs SMTPUTF8"));
        assert_eq!(parse(b"RCPT TO:<ana>"), Err("553 5.1.3 Not a mailbox address"));
        assert_eq!(parse(b"RCPT TO:<a@b.c> NOTIFY=NEVER"), Err(UNKNOWN_PARAMETER));
        assert_eq!(parse(b"BDAT"), Err(SYNTAX));
        assert_eq!(parse(b"BDAT 18446744073709551616"), Err(SYNTAX));
        assert_eq!(parse(b"\xff"), Err("500 5.5.2 Line is not UTF-8"));
        assert_eq!(parse(b""), Err(UNKNOWN));
    }
}
