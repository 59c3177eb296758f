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
