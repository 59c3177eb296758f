//! The preview: how the message's text begins (RFC 8970 §3.1).

use crate::binary::{PIECE_BYTES, TransferDecoder};
use crate::charset::TextDecoder;
use crate::html::TextOfHtml;
use crate::part::{Part, PartTree};
use crate::search::slice;

/// RFC 8970 §3.1: a preview is at most 200 characters, of which none takes more than four bytes.
pub(crate) const PREVIEW_CHARACTERS_MAX: usize = 200;
/// How far into a part is looked: newsletters begin with tens of KiB of styles.
const LOOKED_AT_BYTES_MAX: usize = 128 * 1024;
/// How many text parts are looked into before it is given up.
const PARTS_TRIED_MAX: usize = 8;

/// Of the first plain text that is no attachment and has any, else of the first HTML; empty if there is none.
pub(crate) fn of(message: &[u8], tree: &PartTree) -> Vec<u8> {
    let texts = |is_html: bool| {
        let wanted = move |part: &&Part| part.is_text() && !part.is_attachment && part.is_html() == is_html;
        tree.parts().iter().filter(wanted).take(PARTS_TRIED_MAX)
    };
    let previews = texts(false).chain(texts(true)).map(|part| of_part(message, part));
    previews.into_iter().find(|preview| !preview.is_empty()).unwrap_or_default().into_bytes()
}

fn of_part(message: &[u8], part: &Part) -> String {
    let mut transfer = TransferDecoder::new(part.encoding);
    let mut charset = TextDecoder::new(part.charset.as_deref());
    let mut html = part.is_html().then(TextOfHtml::default);
    let mut preview = Preview::default();
    let (mut bytes, mut text) = (Vec::new(), String::new());
    let content = slice(message, &part.body);
    let looked_at = &content[..content.len().min(LOOKED_AT_BYTES_MAX)];
    for piece in looked_at.chunks(PIECE_BYTES) {
        bytes.clear();
        text.clear();
        transfer.push(piece, &mut bytes);
        charset.push(&bytes, &mut text);
        match &mut html {
            Some(html) => html.push(&text, |visible| preview.push(visible)),
            None => preview.push(&text),
        }
        if preview.characters == PREVIEW_CHARACTERS_MAX {
            return preview.text;
        }
    }
    text.clear();
    charset.finish(&mut text);
    preview.push(&text);
    preview.text
}

/// Text with runs of white space made one space, cut at the limit.
#[derive(Default)]
struct Preview {
    text: String,
    characters: usize,
    space: bool,
}

impl Preview {
    fn push(&mut self, text: &str) {
        for c in text.chars() {
            if c.is_whitespace() || c.is_control() {
                self.space = !self.text.is_empty();
                continue;
            }
            if std::mem::take(&mut self.space) {
                self.add(' ');
            }
            self.add(c);
        }
    }

    fn add(&mut self, c: char) {
        if self.characters < PREVIEW_CHARACTERS_MAX {
            self.text.push(c);
            self.characters += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::summary::Summary;

    fn preview(message: &str) -> String {
        String::from_utf8(Summary::of(message.as_bytes()).preview().to_vec()).unwrap()
    }

    #[test]
    fn the_preview_is_the_beginning_of_what_is_read() {
        assert_eq!(preview("Subject: x\r\n\r\n  Hello,\r\n\r\n\tyou  there\r\n"), "Hello, you there");
        let html = "<html><head><style>p {}</style></head><body><h1>Sale</h1><p>50&nbsp;% <b>o</b>ff &amp; more</body>";
        assert_eq!(preview(&format!("Content-Type: text/html\r\n\r\n{html}")), "Sale 50 % off & more");
        let both = format!(
            "Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n{}\r\n\r\nx\r\n--b\r\nContent-Type: text/html\r\n\r\n{html}\r\n\
             --b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\npl=C3=A1in\r\n--b--",
            "Content-Disposition: attachment"
        );
        assert_eq!(preview(&both), "pl\u{e1}in", "plain text before HTML, and no attachment");
        assert_eq!(preview("Content-Type: image/png\r\n\r\nx"), "");
        let long = preview(&format!("\r\n{}", "\u{e9}\u{1f389} ".repeat(500)));
        assert_eq!((long.chars().count(), long.trim_end()), (200, long.trim_end()));
    }
}
