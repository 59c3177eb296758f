//! Reads an mbox file message by message (RFC 4155). Takes `>From ` quoting back as mboxrd does: one `>` less.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek};
use std::path::Path;

use anyhow::{Context, bail};

use super::item::{Item, flags_of_status};

/// Larger messages are refused: no server takes them.
const MESSAGE_BYTES_MAX: usize = 256 << 20;

/// A file being read.
pub(super) struct Mbox {
    reader: BufReader<File>,
    mailbox: String,
    /// The separator of the next message.
    separator: Option<Vec<u8>>,
}

impl Mbox {
    /// Starts at the first message.
    ///
    /// # Errors
    /// If it cannot be read or does not begin with a `From ` line.
    pub(super) fn open(path: &Path, mailbox: &str) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
        let mut mbox = Self { reader: BufReader::new(file), mailbox: mailbox.to_owned(), separator: None };
        loop {
            let line = mbox.line()?;
            if line.starts_with(b"From ") {
                mbox.separator = Some(line);
                return Ok(mbox);
            }
            if line.is_empty() {
                return Ok(mbox);
            }
            if line.iter().any(|byte| !byte.is_ascii_whitespace()) {
                bail!("{} is no mbox file: it does not begin with `From `", path.display());
            }
        }
    }

    /// Bytes of the file, and where the reader is: for the progress bar.
    pub(super) fn position(&mut self) -> anyhow::Result<u64> {
        Ok(self.reader.stream_position()?)
    }

    /// The next message; `None` at the end.
    ///
    /// # Errors
    /// If the file cannot be read or a message is beyond all bounds.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Item>> {
        let Some(separator) = self.separator.take() else { return Ok(None) };
        let mut message = Vec::new();
        let mut blank = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            if line.starts_with(b"From ") && (!blank.is_empty() || message.is_empty()) {
                self.separator = Some(line);
                break;
            }
            // The blank line before a separator belongs to the file, not to the message.
            message.append(&mut blank);
            if line == b"\n" || line == b"\r\n" {
                blank = line;
            } else {
                message.extend_from_slice(unquoted(&line));
            }
            if message.len() > MESSAGE_BYTES_MAX {
                bail!("a message is larger than {MESSAGE_BYTES_MAX} bytes");
            }
        }
        if self.separator.is_none() {
            message.append(&mut blank);
        }
        let flags = flags_of_status(&message);
        let date = date_of_separator(&separator);
        Ok(Some(Item { mailbox: self.mailbox.clone(), flags, date, message }))
    }

    fn line(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line).context("read mbox")?;
        Ok(line)
    }
}

/// `>From ` → `From `, `>>From ` → `>From `.
fn unquoted(line: &[u8]) -> &[u8] {
    let quotes = line.iter().take_while(|&&byte| byte == b'>').count();
    if quotes > 0 && line[quotes..].starts_with(b"From ") { &line[1..] } else { line }
}

/// `From sender Thu Nov 24 18:22:48 2026`, in UTC; seconds since 1970.
fn date_of_separator(separator: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(separator).ok()?;
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let date = words.get(words.len().checked_sub(5)?..)?.join(" ");
    let civil = jiff::civil::DateTime::strptime("%a %b %d %H:%M:%S %Y", &date).ok()?;
    Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(text: &[u8]) -> Vec<Item> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mbox");
        std::fs::write(&path, text).unwrap();
        let mut mbox = Mbox::open(&path, "INBOX").unwrap();
        std::iter::from_fn(|| mbox.next().unwrap()).collect()
    }

    #[test]
    fn messages_are_split_and_unquoted() {
        let text = b"From a@b Thu Nov 19 18:22:48 2026\nSubject: 1\nStatus: RO\n\n>From here\n>>From there\nFrom inside\n\n\
            From c@d Fri Nov 20 00:00:00 2026\nSubject: 2\n\nend\n";
        let items = items(text);
        assert_eq!(items.len(), 2);
        assert_eq!(items[0].message, b"Subject: 1\nStatus: RO\n\nFrom here\n>From there\nFrom inside\n");
        assert_eq!(items[0].flags, ["\\Seen"]);
        assert_eq!(items[0].date, Some(1_795_112_568));
        assert_eq!(items[1].message, b"Subject: 2\n\nend\n");
    }

    #[test]
    fn an_empty_file_has_no_messages_and_another_is_refused() {
        assert!(items(b"").is_empty());
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x"), "Subject: no\n\n").unwrap();
        assert!(Mbox::open(&dir.path().join("x"), "INBOX").is_err());
    }
}
