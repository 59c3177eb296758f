//! HTML to the text that a person reads, for search and preview: tags, comments, scripts and styles dropped, character
//! references decoded. A small state machine over pieces, not a parser: layout does not matter here.

use mail_parser::decoders::html::add_html_token;
use memchr::{memchr, memchr3};

/// Names of elements whose content is not text.
const HIDDEN: [&str; 4] = ["script", "style", "head", "title"];
/// Inline elements: words are not parted where they begin or end.
const INLINE: [&str; 15] =
    ["a", "b", "i", "u", "s", "em", "strong", "span", "font", "sub", "sup", "small", "big", "mark", "code"];
/// The part of a tag that is kept to know it.
const TAG_BYTES_MAX: usize = 16;
/// Longest character reference, `&CounterClockwiseContourIntegral;`.
const REFERENCE_BYTES_MAX: usize = 33;

/// The state between pieces.
#[derive(Debug, Default)]
pub(crate) struct TextOfHtml {
    state: State,
    /// The beginning of the tag or reference that is being read.
    held: String,
    /// Set within an element of [`HIDDEN`].
    hidden: Option<&'static str>,
    out: String,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    Reference,
    Tag,
    /// Within a tag's attribute value, up to this quote.
    Quoted(char),
    /// Within `<!-- -->`: how many hyphens came last.
    Comment(u8),
}

impl TextOfHtml {
    /// Takes one more piece, and hands on the text in it.
    pub(crate) fn push(&mut self, piece: &str, mut hand_on: impl FnMut(&str)) {
        let mut rest = piece;
        loop {
            let (plain, after) = rest.split_at(self.plain(rest.as_bytes()));
            if self.state == State::Text && self.hidden.is_none() {
                self.out.push_str(plain);
            }
            rest = after;
            let Some(c) = rest.chars().next() else { break };
            self.step(c);
            rest = &rest[c.len_utf8()..];
        }
        hand_on(&self.out);
        self.out.clear();
    }

    /// How many bytes leave the state as it is.
    fn plain(&self, rest: &[u8]) -> usize {
        let next = match self.state {
            State::Text => memchr3(b'<', b'&', b'\0', rest),
            State::Quoted(quote) => memchr(quote as u8, rest),
            State::Tag if self.held.len() >= TAG_BYTES_MAX => {
                rest.iter().position(|byte| matches!(byte, b'>' | b'<' | b'"' | b'\''))
            }
            State::Reference | State::Tag | State::Comment(_) => Some(0),
        };
        next.unwrap_or(rest.len())
    }

    fn step(&mut self, c: char) {
        match self.state {
            State::Text => match c {
                '<' => self.begin(State::Tag),
                '&' => self.begin(State::Reference),
                _ => {}
            },
            State::Reference => self.reference(c),
            State::Tag => self.tag(c),
            State::Quoted(quote) if c == quote => self.state = State::Tag,
            State::Quoted(_) => {}
            State::Comment(hyphens) => {
                self.state = match c {
                    '>' if hyphens >= 2 => State::Text,
                    '-' => State::Comment(hyphens.saturating_add(1)),
                    _ => State::Comment(0),
                }
            }
        }
    }

    fn begin(&mut self, state: State) {
        self.state = state;
        self.held.clear();
    }

    fn reference(&mut self, c: char) {
        let more = c.is_ascii_alphanumeric() || c == '#';
        if more && self.held.len() < REFERENCE_BYTES_MAX {
            return self.held.push(c);
        }
        self.state = State::Text;
        if self.hidden.is_none() {
            let token = format!("&{}{}", self.held, if c == ';' { ";" } else { "" });
            if c == ';' {
                add_html_token(&mut self.out, token.as_bytes(), false)
            } else {
                self.out.push_str(&token)
            }
        }
        match c {
            ';' => {}
            '<' | '&' => self.step(c),
            _ if self.hidden.is_none() => self.out.push(c),
            _ => {}
        }
    }

    fn tag(&mut self, c: char) {
        match c {
            '>' => {
                self.state = State::Text;
                self.tag_ends();
            }
            '<' if self.hidden.is_some() => self.begin(State::Tag), // `a < b` in a script
            '"' | '\'' if self.held.contains(' ') && self.hidden.is_none() => self.state = State::Quoted(c),
            _ if self.held.len() < TAG_BYTES_MAX => {
                self.held.push(if c.is_ascii_whitespace() { ' ' } else { c.to_ascii_lowercase() });
                if self.held == "!--" && self.hidden.is_none() {
                    self.state = State::Comment(0);
                } else if self.held == " " || (self.held.len() == 1 && !is_tag_start(c)) {
                    self.no_tag(c); // a lone less-than sign
                }
            }
            _ => {}
        }
    }

    fn no_tag(&mut self, c: char) {
        self.state = State::Text;
        if self.hidden.is_none() {
            self.out.push('<');
            self.out.push(c);
        }
    }

    fn tag_ends(&mut self) {
        let (closing, rest) = match self.held.strip_prefix('/') {
            Some(rest) => (true, rest),
            None => (false, self.held.as_str()),
        };
        let name = rest.split([' ', '/']).next().unwrap_or_default();
        match self.hidden {
            Some(hidden) if closing && name == hidden => self.hidden = None,
            Some("head") if name == "body" => self.hidden = None, // the head was never closed
            Some(_) => {}
            None if !closing && !self.held.ends_with('/') => {
                self.hidden = HIDDEN.into_iter().find(|&hidden| hidden == name);
            }
            None => {}
        }
        if self.hidden.is_none() && !INLINE.contains(&name) {
            self.out.push(' ');
        }
    }
}

fn is_tag_start(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(html: &str, piece_bytes: usize) -> String {
        let (mut text, mut state) = (String::new(), TextOfHtml::default());
        let chars: Vec<char> = html.chars().collect();
        for piece in chars.chunks(piece_bytes) {
            state.push(&piece.iter().collect::<String>(), |visible| text.push_str(visible));
        }
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn only_what_is_read_remains() {
        let html = "<html><head><title>t</title><style>p > a {x}</style></head><body class=\"a>b\"><p>One<br>two \
            <b>thr</b>ee &amp; &eacute;&#8364;<!-- no > no --><script>if (a<b) x()</script><p>4 < 5 &unknown &c";
        for piece_bytes in [1, 3, 1000] {
            assert_eq!(text_of(html, piece_bytes), "One two three & é€ 4 < 5 &unknown", "{piece_bytes}");
        }
    }
}
