//! Arguments of SEARCH (RFC 9051 §6.4.4, RFC 3501 §6.4.4, RFC 7162 §3.1.5, RFC 5032).

use super::messages::keyword;
use super::{Cursor, Parsed};
use crate::command::search::{
    DateField, DateTest, SEARCH_DEPTH_MAX, SEARCH_KEYS_MAX, Search, SearchKey, SearchReturn,
};
use crate::command::{CommandBody, Numbering};
use crate::date::parse_date;
use crate::session::Reason;
use buzon_types::flag::SystemFlags;
use bytes::Bytes;

/// search = "SEARCH" [SP "RETURN" SP "(" … ")"] SP ["CHARSET" SP charset SP] search-key *(SP search-key)
pub(super) fn search(cursor: &mut Cursor<'_>, numbering: Numbering) -> Parsed<CommandBody> {
    cursor.space()?;
    let mut search = Search { numbering, returns: None, charset: None, keys: Vec::new() };
    if cursor.eat_word(b"RETURN") {
        cursor.space()?;
        search.returns = Some(return_options(cursor)?);
        cursor.space()?;
    }
    if cursor.eat_word(b"CHARSET") {
        cursor.space()?;
        search.charset = Some(cursor.text()?.to_ascii_uppercase());
        cursor.space()?;
    }
    let mut keys = Keys { count: 0 };
    search.keys.push(keys.key(cursor, 0)?);
    while cursor.more() {
        search.keys.push(keys.key(cursor, 0)?);
    }
    Ok(CommandBody::Search(search))
}

/// search-return-opts = "(" [search-return-opt *(SP search-return-opt)] ")"; an empty list means ALL.
fn return_options(cursor: &mut Cursor<'_>) -> Parsed<SearchReturn> {
    let mut returns = SearchReturn::default();
    cursor.list(|cursor| {
        match cursor.upper_atom()?.as_str() {
            "MIN" => returns.min = true,
            "MAX" => returns.max = true,
            "ALL" => returns.all = true,
            "COUNT" => returns.count = true,
            "SAVE" => returns.save = true,
            _ => return Err(Reason::Arguments("unknown SEARCH return option")),
        }
        Ok(())
    })?;
    if returns == SearchReturn::default() {
        returns.all = true;
    }
    Ok(returns)
}

/// Counts the keys of one search.
struct Keys {
    count: usize,
}

impl Keys {
    fn key(&mut self, cursor: &mut Cursor<'_>, depth: usize) -> Parsed<SearchKey> {
        self.count += 1;
        if depth > SEARCH_DEPTH_MAX {
            return Err(Reason::Arguments("search nested too deep"));
        }
        if self.count > SEARCH_KEYS_MAX {
            return Err(Reason::Arguments("too many search keys"));
        }
        match cursor.peek() {
            Some(b'(') => self.group(cursor, depth),
            Some(b'0'..=b'9' | b'*' | b'$') => {
                cursor.sequence_set(Numbering::Sequence).map(SearchKey::Sequence)
            }
            _ => {
                let word = cursor.upper_atom()?;
                self.nested(&word, cursor, depth)
            }
        }
    }

    /// "(" search-key *(SP search-key) ")"
    fn group(&mut self, cursor: &mut Cursor<'_>, depth: usize) -> Parsed<SearchKey> {
        let mut keys = Vec::new();
        cursor.list(|cursor| {
            keys.push(self.key(cursor, depth + 1)?);
            Ok(())
        })?;
        if keys.is_empty() { Err(Reason::Arguments("search key expected")) } else { Ok(SearchKey::And(keys)) }
    }

    /// "NOT" SP search-key / "OR" SP search-key SP search-key / any other
    fn nested(&mut self, word: &str, cursor: &mut Cursor<'_>, depth: usize) -> Parsed<SearchKey> {
        match word {
            "NOT" => {
                cursor.space()?;
                Ok(SearchKey::Not(Box::new(self.key(cursor, depth + 1)?)))
            }
            "OR" => {
                cursor.space()?;
                let first = self.key(cursor, depth + 1)?;
                cursor.space()?;
                Ok(SearchKey::Or(Box::new((first, self.key(cursor, depth + 1)?))))
            }
            _ => match flag_key(word) {
                Some(key) => Ok(key),
                None => {
                    cursor.space()?;
                    key_with_argument(word, cursor)
                }
            },
        }
    }
}

/// Keys without arguments.
fn flag_key(word: &str) -> Option<SearchKey> {
    Some(match word {
        "ALL" => SearchKey::All,
        "ANSWERED" => SearchKey::Has(SystemFlags::ANSWERED),
        "DELETED" => SearchKey::Has(SystemFlags::DELETED),
        "DRAFT" => SearchKey::Has(SystemFlags::DRAFT),
        "FLAGGED" => SearchKey::Has(SystemFlags::FLAGGED),
        "SEEN" => SearchKey::Has(SystemFlags::SEEN),
        "UNANSWERED" => SearchKey::HasNot(SystemFlags::ANSWERED),
        "UNDELETED" => SearchKey::HasNot(SystemFlags::DELETED),
        "UNDRAFT" => SearchKey::HasNot(SystemFlags::DRAFT),
        "UNFLAGGED" => SearchKey::HasNot(SystemFlags::FLAGGED),
        "UNSEEN" => SearchKey::HasNot(SystemFlags::SEEN),
        "NEW" => SearchKey::New,
        "OLD" => SearchKey::Old,
        "RECENT" => SearchKey::Recent,
        _ => return None,
    })
}

/// Keys whose argument comes next.
fn key_with_argument(word: &str, cursor: &mut Cursor<'_>) -> Parsed<SearchKey> {
    Ok(match word {
        "BCC" | "CC" | "FROM" | "SUBJECT" | "TO" => SearchKey::Header(word.to_owned(), bytes(cursor)?),
        "BODY" => SearchKey::Body(bytes(cursor)?),
        "TEXT" => SearchKey::Text(bytes(cursor)?),
        "HEADER" => {
            let name = cursor.text()?;
            cursor.space()?;
            SearchKey::Header(name, bytes(cursor)?)
        }
        "KEYWORD" => SearchKey::Keyword(keyword(cursor)?),
        "UNKEYWORD" => SearchKey::NotKeyword(keyword(cursor)?),
        "LARGER" => SearchKey::Larger(cursor.number64()?),
        "SMALLER" => SearchKey::Smaller(cursor.number64()?),
        "OLDER" => SearchKey::Older(cursor.nonzero()?),
        "YOUNGER" => SearchKey::Younger(cursor.nonzero()?),
        "UID" => SearchKey::Uid(cursor.sequence_set(Numbering::Uid)?),
        "MODSEQ" => modseq(cursor)?,
        "BEFORE" => date(cursor, DateField::Internal, DateTest::Before)?,
        "ON" => date(cursor, DateField::Internal, DateTest::On)?,
        "SINCE" => date(cursor, DateField::Internal, DateTest::Since)?,
        "SENTBEFORE" => date(cursor, DateField::Sent, DateTest::Before)?,
        "SENTON" => date(cursor, DateField::Sent, DateTest::On)?,
        "SENTSINCE" => date(cursor, DateField::Sent, DateTest::Since)?,
        _ => return Err(Reason::Arguments("unknown search key")),
    })
}

fn bytes(cursor: &mut Cursor<'_>) -> Parsed<Bytes> {
    cursor.astring().map(|text| Bytes::from(text.into_owned()))
}

/// date = date-text / DQUOTE date-text DQUOTE
fn date(cursor: &mut Cursor<'_>, field: DateField, test: DateTest) -> Parsed<SearchKey> {
    let text = cursor.astring()?;
    let date = parse_date(&text).ok_or(Reason::Arguments("date expected"))?;
    Ok(SearchKey::Date(field, test, date))
}

/// search-modsequence = "MODSEQ" [SP entry-name SP entry-type-req] SP mod-sequence-valzer
fn modseq(cursor: &mut Cursor<'_>) -> Parsed<SearchKey> {
    if cursor.peek() == Some(b'"') {
        cursor.quoted()?;
        cursor.space()?;
        if !(cursor.eat_word(b"ALL") || cursor.eat_word(b"PRIV") || cursor.eat_word(b"SHARED")) {
            return Err(Reason::Arguments("entry type expected"));
        }
        cursor.space()?;
    }
    cursor.modseq().map(SearchKey::ModSeq)
}
