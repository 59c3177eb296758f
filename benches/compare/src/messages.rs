//! What is stored: the same bytes on every server, from a seed. Letters of a few lines, newsletters, attachments; and messages of an
//! exact size, built like those.

use buzon_message::corpus;

/// Where messages come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// Mail as people get it, mostly of 1 to 16 KB, one in ten with an attachment of up to 64 KB.
    Letters,
    /// The same, one in twenty larger, up to 5 MB.
    Varied,
    /// Of so many bytes.
    Sized(usize),
}

/// A word that one in a hundred messages of a mailbox holds in its text, for SEARCH.
pub(crate) const NEEDLE: &str = "quetzalcoatl";
/// Smallest message.
const BYTES_MIN: usize = 1000;

impl Source {
    /// The message of a number.
    pub(crate) fn message(self, number: u64) -> Vec<u8> {
        match self {
            Self::Sized(bytes) => sized(number, bytes),
            Self::Letters if number % 10 == 9 => {
                corpus::with_attachment(number, 1 + (number as usize * 7919) % (64 << 10))
            }
            Self::Varied if number % 20 == 19 => {
                let shift = number / 20 % 8; // sizes spread over orders of magnitude
                corpus::with_attachment(number, ((5 << 20) * 3 / 4) >> shift)
            }
            Self::Letters | Self::Varied if number % 10 < 6 => padded(&corpus::reply(number), number),
            Self::Letters | Self::Varied => padded(&corpus::newsletter(number), number),
        }
    }
}

/// A reply is often shorter than a kilobyte; fields as mail servers add them make it as long. They stand first, so that the
/// message's own structure is left alone.
fn padded(message: &[u8], number: u64) -> Vec<u8> {
    let mut padded = Vec::with_capacity(message.len() + BYTES_MIN);
    if number % 100 == 50 {
        padded.extend_from_slice(format!("X-Label: {NEEDLE}\r\n").as_bytes());
    }
    while padded.len() + message.len() < BYTES_MIN {
        let field =
            format!("X-Trace: hop-{:04}.mx.example.net; policy=none; id={number:016x}\r\n", padded.len());
        padded.extend_from_slice(field.as_bytes());
    }
    padded.extend_from_slice(message);
    padded
}

/// Header, text, and from 16 KB on an attachment; exactly so many bytes (at least 700).
fn sized(number: u64, bytes: usize) -> Vec<u8> {
    let mut text = format!(
        "Date: Tue, {day:02} Mar 2026 {hour:02}:14:{second:02} +0100\r\n\
         From: Ana Lopez <ana.{number}@example.net>\r\nTo: Team <team@example.org>, bo@example.org\r\n\
         Message-ID: <{number}.{bytes}@example.net>\r\nSubject: Re: minutes of meeting {number}\r\n\
         References: <{number}.0@example.net> <{number}.1@example.net>\r\nMIME-Version: 1.0\r\n",
        day = 1 + number % 28,
        hour = number % 24,
        second = number % 60,
    );
    let (mut media_type, mut end) = ("text/plain; charset=utf-8", String::new());
    if bytes >= 16 << 10 {
        media_type = "application/octet-stream; name=\"minutes.bin\"";
        text += "Content-Type: multipart/mixed; boundary=\"=_part\"\r\n\r\n--=_part\r\n\
                 Content-Type: text/plain; charset=utf-8\r\n\r\nSee below.\r\n--=_part\r\n";
        end = "\r\n--=_part--\r\n".to_owned();
    }
    text += &format!("Content-Type: {media_type}\r\nContent-Transfer-Encoding: 7bit\r\n\r\n");
    let mut line = number;
    while text.len() + end.len() + 80 < bytes {
        line = line.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text += &format!("{line:016x} we agreed on point {:05} and shall come back to it\r\n", line >> 48);
    }
    let left = bytes.saturating_sub(text.len() + end.len() + 2);
    text.extend(std::iter::repeat_n('x', left));
    text += "\r\n";
    text += &end;
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sized_messages_have_their_size_and_lines_end_in_crlf() {
        for bytes in [1 << 10, 4 << 10, 10 << 10, 100 << 10] {
            let message = Source::Sized(bytes).message(7);
            assert_eq!(message.len(), bytes);
            assert!(!message.split(|byte| *byte == b'\n').any(|line| line.len() > 998));
        }
    }

    #[test]
    fn every_message_is_large_enough_and_clean() {
        for number in 0..400 {
            for source in [Source::Letters, Source::Varied] {
                let message = source.message(number);
                assert!(message.len() >= BYTES_MIN, "{source:?} {number}: {}", message.len());
                let bare = message.windows(2).any(|pair| pair[1] == b'\n' && pair[0] != b'\r');
                assert!(!bare && !message.contains(&0), "{source:?} {number}");
            }
        }
    }
}
