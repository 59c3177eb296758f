//! IMAP's parenthesised data, read strictly: what is inside FETCH responses, ENVELOPE, BODYSTRUCTURE, STATUS.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail, ensure};

use crate::imap::{Answer, Response};

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// NIL, atoms, numbers, flags, item names with their brackets.
    Atom(String),
    /// A quoted string or a literal.
    Text(Vec<u8>),
    /// In parentheses.
    List(Vec<Value>),
}

impl Value {
    /// An atom's text.
    ///
    /// # Errors
    /// If it is none.
    pub fn atom(&self) -> anyhow::Result<&str> {
        match self {
            Self::Atom(text) => Ok(text),
            other => bail!("no atom: {other:?}"),
        }
    }

    /// A number.
    ///
    /// # Errors
    /// If it is none.
    pub fn number(&self) -> anyhow::Result<u64> {
        self.atom()?.parse().with_context(|| format!("no number: {self:?}"))
    }

    /// A list's items.
    ///
    /// # Errors
    /// If it is none.
    pub fn list(&self) -> anyhow::Result<&[Value]> {
        match self {
            Self::List(items) => Ok(items),
            other => bail!("no list: {other:?}"),
        }
    }

    /// A string's bytes; NIL is empty.
    ///
    /// # Errors
    /// If it is neither.
    pub fn bytes(&self) -> anyhow::Result<&[u8]> {
        match self {
            Self::Text(bytes) => Ok(bytes),
            Self::Atom(atom) if atom == "NIL" => Ok(b""),
            other => bail!("no string: {other:?}"),
        }
    }
}

/// What a FETCH response says of one message.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Its sequence number.
    pub seq: u32,
    items: BTreeMap<String, Value>,
}

impl Fetched {
    /// Reads a response; `None` if it is another one.
    ///
    /// # Errors
    /// If it is a broken FETCH.
    pub fn read(response: &Response) -> anyhow::Result<Option<Self>> {
        let mut words = response.text.splitn(3, ' ');
        let (Some(seq), Some("FETCH"), Some(_)) = (words.next(), words.next(), words.next()) else {
            return Ok(None);
        };
        let seq: u32 = seq.parse()?;
        ensure!(seq > 0, "FETCH of message 0");
        let values = values(response)?;
        let list = values.get(2).context("FETCH without items")?.list()?;
        ensure!(values.len() == 3 && list.len() % 2 == 0, "broken FETCH: {response:?}");
        let mut items = BTreeMap::new();
        for pair in list.chunks(2) {
            let name = pair[0].atom()?.to_ascii_uppercase();
            ensure!(items.insert(name, pair[1].clone()).is_none(), "an item twice: {}", response.text);
        }
        Ok(Some(Self { seq, items }))
    }

    /// An item, if it is there.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.items.get(name)
    }

    /// An item.
    ///
    /// # Errors
    /// If it is missing.
    pub fn item(&self, name: &str) -> anyhow::Result<&Value> {
        self.get(name).with_context(|| format!("no {name} in FETCH of message {}", self.seq))
    }

    /// UID.
    ///
    /// # Errors
    /// If it is missing.
    pub fn uid(&self) -> anyhow::Result<u32> {
        Ok(u32::try_from(self.item("UID")?.number()?)?)
    }

    /// FLAGS, without `\Recent`, which belongs to sessions.
    ///
    /// # Errors
    /// If they are broken.
    pub fn flags(&self) -> anyhow::Result<Option<BTreeSet<String>>> {
        let Some(flags) = self.get("FLAGS") else { return Ok(None) };
        let mut set = BTreeSet::new();
        for flag in flags.list()? {
            ensure!(set.insert(flag.atom()?.to_owned()), "a flag twice: {flags:?}");
        }
        set.remove("\\Recent");
        Ok(Some(set))
    }
}

impl Answer {
    /// All its FETCH responses.
    ///
    /// # Errors
    /// If one is broken.
    pub fn fetched(&self) -> anyhow::Result<Vec<Fetched>> {
        let mut all = Vec::new();
        for response in &self.untagged {
            all.extend(Fetched::read(response)?);
        }
        Ok(all)
    }

    /// The arguments of a response code like APPENDUID, in the tagged answer or in an untagged OK.
    pub fn code(&self, name: &str) -> Option<&str> {
        let texts =
            std::iter::once(self.status.as_str()).chain(self.untagged.iter().map(|it| it.text.as_str()));
        texts
            .filter_map(|text| text.strip_prefix("OK [")?.strip_prefix(name)?.split_once(']'))
            .find_map(|(code, _)| code.strip_prefix(' '))
    }

    /// The items of its STATUS response.
    ///
    /// # Errors
    /// If there is none.
    pub fn status_items(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let response =
            self.untagged.iter().find(|it| it.text.starts_with("STATUS ")).context("a STATUS response")?;
        let values = values(response)?;
        let list = values.last().context("items")?.list()?;
        list.chunks(2)
            .map(|pair| Ok((pair[0].atom()?.to_owned(), pair.get(1).context("a value")?.number()?)))
            .collect()
    }

    /// The numbers of its SEARCH response; none if there is no such response.
    ///
    /// # Errors
    /// If one is no number.
    pub fn searched(&self) -> anyhow::Result<Vec<u32>> {
        let texts = self.untagged.iter().filter_map(|it| it.text.strip_prefix("SEARCH"));
        texts.flat_map(str::split_whitespace).map(|word| Ok(word.parse()?)).collect()
    }
}

/// The numbers of a UID set as servers write it.
///
/// # Errors
/// If it is none.
pub fn uid_set(text: &str) -> anyhow::Result<Vec<u32>> {
    let mut all = Vec::new();
    for part in text.split(',') {
        match part.split_once(':') {
            Some((first, last)) => {
                let (first, last): (u32, u32) = (first.parse()?, last.parse()?);
                if first <= last { all.extend(first..=last) } else { all.extend((last..=first).rev()) }
            }
            None => all.push(part.parse()?),
        }
    }
    Ok(all)
}

/// A set of UIDs for a command.
pub fn set_text(uids: &[u32]) -> String {
    uids.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

/// All values of a response.
///
/// # Errors
/// If it keeps to no grammar.
pub fn values(response: &Response) -> anyhow::Result<Vec<Value>> {
    let mut reader = Reader { rest: response.text.as_str(), literals: response.literals.iter() };
    let mut all = Vec::new();
    while !reader.rest.is_empty() {
        all.push(reader.value().with_context(|| format!("in {}", response.text))?);
        reader.rest = reader.rest.strip_prefix(' ').unwrap_or(reader.rest);
    }
    Ok(all)
}

struct Reader<'a> {
    rest: &'a str,
    literals: std::slice::Iter<'a, Vec<u8>>,
}

impl Reader<'_> {
    fn value(&mut self) -> anyhow::Result<Value> {
        if let Some(rest) = self.rest.strip_prefix('(') {
            self.rest = rest;
            return self.list();
        }
        if let Some(rest) = self.rest.strip_prefix("{}") {
            self.rest = rest;
            return Ok(Value::Text(self.literals.next().context("a literal")?.clone()));
        }
        if let Some(rest) = self.rest.strip_prefix('"') {
            self.rest = rest;
            return self.quoted();
        }
        self.atom()
    }

    fn list(&mut self) -> anyhow::Result<Value> {
        let mut items = Vec::new();
        loop {
            if let Some(rest) = self.rest.strip_prefix(')') {
                self.rest = rest;
                return Ok(Value::List(items));
            }
            if let Some(rest) = self.rest.strip_prefix(' ').filter(|_| !items.is_empty()) {
                ensure!(!rest.starts_with(')'), "a space before )");
                self.rest = rest;
            } else if let Some(last) = items.last() {
                // Bodies of a multipart follow each other without a space.
                let lists = matches!(last, Value::List(_)) && self.rest.starts_with('(');
                ensure!(lists, "a space is missing between items");
            }
            items.push(self.value()?);
        }
    }

    fn quoted(&mut self) -> anyhow::Result<Value> {
        let mut text = Vec::new();
        let bytes = self.rest.as_bytes();
        let mut at = 0;
        loop {
            match bytes.get(at).context("a quoted string without end")? {
                b'"' => break,
                b'\\' => {
                    let next = *bytes.get(at + 1).context("an escape without end")?;
                    ensure!(next == b'"' || next == b'\\', "a wrong escape");
                    text.push(next);
                    at += 2;
                }
                &byte => {
                    ensure!(
                        byte != 0 && byte != b'\r' && byte != b'\n',
                        "a forbidden byte in a quoted string"
                    );
                    text.push(byte);
                    at += 1;
                }
            }
        }
        self.rest = &self.rest[at + 1..];
        Ok(Value::Text(text))
    }

    fn atom(&mut self) -> anyhow::Result<Value> {
        let mut depth = 0;
        let mut end = self.rest.len();
        for (at, c) in self.rest.char_indices() {
            match c {
                '[' => depth += 1,
                ']' => depth -= 1,
                ' ' | '(' | ')' | '"' | '{' if depth == 0 => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        ensure!(end > 0, "a value is missing before {:?}", self.rest.chars().take(20).collect::<String>());
        let (atom, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(Value::Atom(atom.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, literals: &[&[u8]]) -> anyhow::Result<Vec<Value>> {
        values(&Response { text: text.to_owned(), literals: literals.iter().map(|it| it.to_vec()).collect() })
    }

    #[test]
    fn fetch_responses_are_read() -> anyhow::Result<()> {
        let text = r#"3 FETCH (UID 7 FLAGS (\Seen $x) BODY[HEADER.FIELDS (A B)]<0> {} ENVELOPE ("a \"b\"" NIL ((NIL NIL "x" "y")) NIL))"#;
        let fetched = Fetched::read(&Response { text: text.to_owned(), literals: vec![b"xyz".to_vec()] })?
            .context("one")?;
        assert_eq!((fetched.seq, fetched.uid()?), (3, 7));
        assert_eq!(fetched.item("BODY[HEADER.FIELDS (A B)]<0>")?.bytes()?, b"xyz");
        assert_eq!(fetched.item("ENVELOPE")?.list()?[0].bytes()?, b"a \"b\"");
        assert_eq!(fetched.flags()?.context("flags")?.len(), 2);
        Ok(())
    }

    #[test]
    fn broken_data_is_refused() {
        assert!(read(r#"(a  b)"#, &[]).is_err());
        assert!(read(r#"(a"b")"#, &[]).is_err());
        assert!(read(r#"(a b"#, &[]).is_err());
        assert!(read(r#"(a )"#, &[]).is_err());
        assert!(read(r#"("a)"#, &[]).is_err());
        assert!(read(r#"((a)(b) "c" {})"#, &[b"x"]).is_ok());
    }
}
