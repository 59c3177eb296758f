//! What a MIME header says of its part (RFC 2045, 2183, 3282), with what is malformed normalised, so that whatever
//! is rendered from it is well-formed.

use crate::charset::decode_lossy;
use crate::encoded_word;
use crate::header::{Fields, unfold};
use crate::part::TransferEncoding;

/// A structured value is read up to here.
const VALUE_BYTES_MAX: usize = 8 * 1024;
/// `content-transfer-encoding`, the longest name of them.
const NAME_BYTES_MAX: usize = 25;
/// Parameters of one value; continuations (RFC 2231) count singly.
const PARAMETERS_MAX: usize = 32;
/// Longest token of a type or encoding; the longest registered subtype has 80.
const TOKEN_BYTES_MAX: usize = 100;
/// RFC 2046 §5.1.1 allows 70; some send more.
const BOUNDARY_BYTES_MAX: usize = 250;

/// The fields of a part's header that describe it. Values are raw, unfolded.
#[derive(Debug, Clone, Default)]
pub(crate) struct MimeHeader {
    pub content_type: ContentType,
    /// In lower case; `7bit` when missing or malformed.
    pub encoding: String,
    pub id: Option<Vec<u8>>,
    pub description: Option<Vec<u8>>,
    pub md5: Option<Vec<u8>>,
    /// Its word in lower case, and its parameters.
    pub disposition: Option<(String, Parameters)>,
    pub languages: Vec<String>,
    pub location: Option<Vec<u8>>,
}

/// Names in lower case, still with the asterisks of RFC 2231, and raw values.
pub(crate) type Parameters = Vec<(String, Vec<u8>)>;

/// A media type; both halves are tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContentType {
    pub media_type: String,
    pub subtype: String,
    pub parameters: Parameters,
}

impl Default for ContentType {
    /// What a part without a Content-Type is (RFC 2045 §5.2).
    fn default() -> Self {
        Self {
            media_type: "text".into(),
            subtype: "plain".into(),
            parameters: vec![("charset".into(), b"us-ascii".to_vec())],
        }
    }
}

impl MimeHeader {
    /// Of a raw header; `within_digest` changes the default type (RFC 2046 §5.1.5). The first field of a name counts.
    pub(crate) fn of(raw_header: &[u8], within_digest: bool) -> Self {
        let mut header = Self { encoding: String::new(), ..Self::default() };
        let mut content_type = None;
        for field in Fields::of(raw_header) {
            if field.name.len() > NAME_BYTES_MAX
                || !field.name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"content-"))
            {
                continue;
            }
            let value = || unfold(&field.value[..field.value.len().min(VALUE_BYTES_MAX)]);
            let text = || Some(value().into_owned());
            match field.name[8..].to_ascii_lowercase().as_slice() {
                b"type" if content_type.is_none() => content_type = Some(ContentType::parse(&value())),
                b"transfer-encoding" if header.encoding.is_empty() => header.encoding = encoding(&value()),
                b"id" if header.id.is_none() => header.id = text(),
                b"description" if header.description.is_none() => header.description = text(),
                b"md5" if header.md5.is_none() => header.md5 = text(),
                b"location" if header.location.is_none() => header.location = text(),
                b"disposition" if header.disposition.is_none() => header.disposition = disposition(&value()),
                b"language" if header.languages.is_empty() => header.languages = languages(&value()),
                _ => {}
            }
        }
        header.content_type = match content_type {
            Some(known) => known.unwrap_or_default(),
            None if within_digest => {
                ContentType { media_type: "message".into(), subtype: "rfc822".into(), parameters: Vec::new() }
            }
            None => ContentType::default(),
        };
        if header.encoding.is_empty() {
            header.encoding = "7bit".into();
        }
        header
    }

    pub(crate) fn transfer_encoding(&self) -> TransferEncoding {
        match self.encoding.as_str() {
            "7bit" | "8bit" | "binary" => TransferEncoding::Identity,
            "base64" => TransferEncoding::Base64,
            "quoted-printable" => TransferEncoding::QuotedPrintable,
            _ => TransferEncoding::Unknown,
        }
    }

    pub(crate) fn is_attachment(&self) -> bool {
        self.disposition.as_ref().is_some_and(|(word, _)| word == "attachment")
    }

    /// The filename, decoded: of the disposition, else the type's name.
    pub(crate) fn filename(&self) -> Option<String> {
        let of_disposition =
            self.disposition.as_ref().and_then(|(_, parameters)| decoded(parameters, "filename"));
        of_disposition.or_else(|| decoded(&self.content_type.parameters, "name"))
    }
}

impl ContentType {
    /// `None` unless it begins `type/subtype`. What follows is read as far as it makes sense: a missing semicolon and
    /// rubbish between parameters are skipped.
    fn parse(value: &[u8]) -> Option<Self> {
        let (media_type, rest) = token(value)?;
        let (subtype, rest) = token(rest.trim_ascii_start().strip_prefix(b"/")?.trim_ascii_start())?;
        Some(Self { media_type, subtype, parameters: parameters(rest) })
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&[u8]> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }

    pub(crate) fn boundary(&self) -> Option<Vec<u8>> {
        let boundary = self.parameter("boundary")?.trim_ascii_end();
        (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len()).then(|| boundary.to_vec())
    }

    pub(crate) fn is(&self, media_type: &str) -> bool {
        self.media_type == media_type
    }

    /// A message whose parts have numbers (RFC 9051 §9 `media-message`).
    pub(crate) fn is_message(&self) -> bool {
        self.is("message") && matches!(self.subtype.as_str(), "rfc822" | "global")
    }
}

/// token = 1*<any CHAR except SPACE, CTLs, or tspecials>; in lower case.
fn token(text: &[u8]) -> Option<(String, &[u8])> {
    let is_token = |byte: u8| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte);
    let end = text.iter().position(|&byte| !is_token(byte)).unwrap_or(text.len());
    let name = std::str::from_utf8(&text[..end]).ok()?;
    (1..=TOKEN_BYTES_MAX).contains(&end).then(|| (name.to_ascii_lowercase(), &text[end..]))
}

/// mechanism, in lower case; what senders write for 7bit and 8bit is put right.
fn encoding(value: &[u8]) -> String {
    match token(value) {
        Some((word, _)) if matches!(word.as_str(), "8-bit" | "8bits" | "utf-8" | "utf8") => "8bit".into(),
        Some((word, _)) if matches!(word.as_str(), "7-bit" | "7bits" | "none" | "us-ascii") => "7bit".into(),
        Some((word, _)) => word,
        None => String::new(),
    }
}

fn disposition(value: &[u8]) -> Option<(String, Parameters)> {
    let (word, rest) = token(value)?;
    Some((word, parameters(rest)))
}

fn languages(value: &[u8]) -> Vec<String> {
    let tags = value.split(|&byte| byte == b',').filter_map(|tag| token(tag.trim_ascii_start()));
    tags.map(|(tag, _)| tag).take(LANGUAGES_MAX).collect()
}

/// Languages of one part that are told.
const LANGUAGES_MAX: usize = 8;

/// `*(";" attribute "=" value)`
fn parameters(mut rest: &[u8]) -> Parameters {
    let mut found = Parameters::new();
    while found.len() < PARAMETERS_MAX {
        rest = skip(rest, |byte| byte.is_ascii_whitespace() || byte == b';');
        if rest.is_empty() {
            break;
        }
        let named = token(rest).and_then(|(name, after)| {
            Some((name, after.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start()))
        });
        let Some((name, after)) = named else {
            rest = skip(rest, |byte| byte != b';' && !byte.is_ascii_whitespace());
            continue;
        };
        let (value, after) = if after.starts_with(b"\"") { quoted(after) } else { unquoted(after) };
        if !found.iter().any(|(known, _)| *known == name) {
            found.push((name, value));
        }
        rest = after;
    }
    found
}

fn skip(text: &[u8], while_it: impl Fn(u8) -> bool) -> &[u8] {
    let end = text.iter().position(|&byte| !while_it(byte)).unwrap_or(text.len());
    &text[end..]
}

/// Up to a semicolon or white space: senders forget the quotes around slashes and the like.
fn unquoted(text: &[u8]) -> (Vec<u8>, &[u8]) {
    let rest = skip(text, |byte| byte != b';' && !byte.is_ascii_whitespace());
    (text[..text.len() - rest.len()].to_vec(), rest)
}

/// quoted-string; one that is never closed ends with the text.
pub(crate) fn quoted(text: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut value = Vec::new();
    let mut bytes = text[1..].iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'"' => break,
            b'\\' => value.extend(bytes.next()),
            _ => value.push(byte),
        }
    }
    (value, bytes.as_slice())
}

/// A parameter as text: continuations joined, percent signs and charset undone (RFC 2231 §3, §4), encoded words too, which
/// are wrong there and common.
fn decoded(parameters: &Parameters, name: &str) -> Option<String> {
    let find = |wanted: &str| {
        parameters.iter().find(|(known, _)| known == wanted).map(|(_, value)| value.as_slice())
    };
    if let Some(plain) = find(name) {
        return Some(bounded(encoded_word::decode(plain).into_owned()));
    }
    let (mut bytes, mut charset) = (Vec::new(), None);
    if let Some(extended) = find(&format!("{name}*")) {
        percent_decode(with_charset(extended, &mut charset), &mut bytes);
    } else {
        for index in 0..PARAMETERS_MAX {
            if let Some(section) = find(&format!("{name}*{index}")) {
                bytes.extend_from_slice(section);
            } else if let Some(section) = find(&format!("{name}*{index}*")) {
                let section = if index == 0 { with_charset(section, &mut charset) } else { section };
                percent_decode(section, &mut bytes);
            } else if index == 0 {
                return None;
            } else {
                break;
            }
        }
    }
    Some(bounded(decode_lossy(charset.as_deref(), &bytes)))
}

/// Longest decoded filename that is kept; file systems take 255 bytes.
const FILENAME_BYTES_MAX: usize = 255;

fn bounded(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(FILENAME_BYTES_MAX));
    text
}

/// Takes `charset'language'` off the front.
fn with_charset<'a>(value: &'a [u8], charset: &mut Option<String>) -> &'a [u8] {
    let mut pieces = value.splitn(3, |&byte| byte == b'\'');
    match (pieces.next(), pieces.next(), pieces.next()) {
        (Some(label), Some(_), Some(text)) => {
            *charset = Some(String::from_utf8_lossy(label).into_owned());
            text
        }
        _ => value,
    }
}

fn percent_decode(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(crate::binary::hex_value(*high) << 4 | crate::binary::hex_value(*low));
                rest = after;
            }
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(header: &str) -> MimeHeader {
        MimeHeader::of(header.as_bytes(), false)
    }

    #[test]
    fn well_formed_types_are_read() {
        let header = of(
            "Content-Type: Text/HTML; Charset=\"ISO-8859-1\";\r\n format=flowed\r\nContent-Transfer-Encoding: BASE64\r\n",
        );
        assert_eq!(
            (header.content_type.media_type.as_str(), header.content_type.subtype.as_str()),
            ("text", "html")
        );
        assert_eq!(header.content_type.parameter("charset"), Some(&b"ISO-8859-1"[..]));
        assert_eq!(header.content_type.parameter("format"), Some(&b"flowed"[..]));
        assert_eq!(header.transfer_encoding(), TransferEncoding::Base64);
    }

    #[test]
    fn encodings_that_mean_none_are_none() {
        for (value, expected) in
            [("8-bit", "8bit"), ("none", "7bit"), ("", "7bit"), (";", "7bit"), ("X-uue", "x-uue")]
        {
            assert_eq!(of(&format!("Content-Transfer-Encoding: {value}\r\n")).encoding, expected);
        }
    }

    #[test]
    fn malformed_types_are_plain_text() {
        for value in ["text", "", "/plain", "text/", "a b/c", ";", "=?utf-8?q?text?=/plain"] {
            assert_eq!(
                of(&format!("Content-Type: {value}\r\n")).content_type,
                ContentType::default(),
                "{value}"
            );
        }
        let header = of("Content-Type: text/html charset=utf-8; ;; =x; a=b c=\"d\r\n");
        let found: Vec<_> = header.content_type.parameters.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(found, ["charset", "a", "c"]);
    }

    #[test]
    fn filenames_decode_however_they_are_written() {
        for value in [
            "attachment; filename=\"ma\\\u{f1}ana.txt\"",
            "attachment; filename=\"=?utf-8?q?ma=C3=B1ana.txt?=\"",
            "attachment; filename*=utf-8'es'ma%C3%B1ana.txt",
            "attachment; filename*0*=iso-8859-1''ma%F1; filename*1=ana; filename*2=.txt",
        ] {
            let header = of(&format!("Content-Disposition: {value}\r\n"));
            assert_eq!(header.filename().as_deref(), Some("mañana.txt"), "{value}");
            assert!(header.is_attachment());
        }
        assert_eq!(of("Content-Type: image/png; name=x.png\r\n").filename().as_deref(), Some("x.png"));
    }
}
