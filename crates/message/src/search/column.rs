//! One header field of many messages, decoded and folded, one value after the other: a search of that field is one look
//! through them.

use super::{Needle, bounded, fold};
use crate::{encoded_word, header};

/// Stands before each value; no byte of UTF-8, so that nothing is found across two.
const BEFORE_VALUE: u8 = 0xff;

/// See the module. Messages have places, from 0, in the order in which they were added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderColumn {
    values: Vec<u8>,
    /// Where those of each message end.
    ends: Vec<usize>,
}

impl HeaderColumn {
    /// Adds a message: its values of the field with this name. `raw_headers` may be a summary's cached lines.
    pub fn add(&mut self, raw_headers: &[u8], name: &[u8]) {
        for value in header::values(raw_headers, name) {
            self.values.push(BEFORE_VALUE);
            fold(&encoded_word::decode(bounded(value)), &mut self.values);
        }
        self.ends.push(self.values.len());
    }

    /// Places of the messages of which [`Needle::matches_header`] says that the field holds it, ascending.
    pub fn matches<'a>(&'a self, needle: &'a Needle) -> impl Iterator<Item = usize> + 'a {
        let looked_for = if needle.finder.needle().is_empty() { None } else { Some(&needle.finder) };
        let mut from = 0;
        std::iter::from_fn(move || {
            let rest = &self.values[from..];
            // The empty text asks only whether there is such a field.
            let found = looked_for.map_or_else(|| (!rest.is_empty()).then_some(0), |it| it.find(rest))?;
            let place = self.ends.partition_point(|end| *end <= from + found);
            from = *self.ends.get(place)?;
            Some(place)
        })
    }

    /// How much memory it takes, nearly.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.values.capacity() + self.ends.capacity() * size_of::<usize>()
    }

    /// Gives back what was kept for more messages.
    pub fn shrink(&mut self) {
        self.values.shrink_to_fit();
        self.ends.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus;

    fn found(headers: &[&[u8]], name: &str, needle: &str) -> Vec<usize> {
        let mut column = HeaderColumn::default();
        headers.iter().for_each(|header| column.add(header, name.as_bytes()));
        column.matches(&Needle::new(needle)).collect()
    }

    #[test]
    fn it_finds_what_each_header_holds() {
        let odd: [&[u8]; 7] = [
            b"Subject: fo\ro ba\0r\r\n",
            b"Subject: foo\r\n bar\r\nsubject: again foo\r\nTo: x",
            b"To: nobody\r\n",
            b"Subject:\r\n\r\n",
            b"Subject: =?utf-8?q?foo=00=FF?= \xff\xfe\r\n",
            b"subject: f\xf8o \xef\xbc\xa6oo\r\n",
            b"",
        ];
        let messages: Vec<_> = (0..300).map(corpus::message).collect();
        let headers: Vec<&[u8]> = odd.into_iter().chain(messages.iter().map(Vec::as_slice)).collect();
        let mut hits = 0;
        for name in ["subject", "FROM", "to", "x-absent", ""] {
            for needle in
                ["foo", "o", "FOO bar", "\u{ff26}oo", "re:", "@", "\u{e9}", "", "absent", "\0", "example"]
            {
                let told = found(&headers, name, needle);
                let needle = Needle::new(needle);
                let holds = |at: &usize| needle.matches_header(headers[*at], name.as_bytes());
                assert_eq!(told, (0..headers.len()).filter(holds).collect::<Vec<_>>(), "{name} {needle:?}");
                hits += told.len();
            }
        }
        assert!(hits > 1_000, "{hits}");
    }

    #[test]
    fn nothing_is_found_across_two_values() {
        let headers: [&[u8]; 2] = [b"Subject: ab\r\nSubject: cd\r\n", b"Subject: ef\r\n"];
        assert_eq!(found(&headers, "subject", "ab cd"), Vec::<usize>::new());
        assert_eq!(found(&headers, "subject", "bc"), Vec::<usize>::new());
        assert_eq!(found(&headers, "subject", "de"), Vec::<usize>::new());
        assert_eq!(found(&headers, "subject", "f"), [1]);
    }
}
