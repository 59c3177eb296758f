//! Arguments of FETCH (RFC 9051 §6.4.5, RFC 3516, RFC 7162 §3.1.4).

use super::{Cursor, Parsed, sequence_set};
use crate::command::fetch::{
    BinarySection, BodySection, FETCH_ITEMS_MAX, Fetch, FetchItem, HEADER_FIELDS_MAX, PART_DEPTH_MAX,
    PartPath, Partial, Section, SectionText,
};
use crate::command::{CommandBody, Numbering};
use crate::session::Reason;

const FAST: [FetchItem; 3] = [FetchItem::Flags, FetchItem::InternalDate, FetchItem::Rfc822Size];

/// fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")")
///         [SP "(" fetch-modifier *(SP fetch-modifier) ")"]
pub(super) fn fetch(cursor: &mut Cursor<'_>, numbering: Numbering) -> Parsed<CommandBody> {
    let set = sequence_set(cursor, numbering)?;
    cursor.space()?;
    let mut fetch = Fetch { numbering, set, items: Vec::new(), changed_since: None, vanished: false };
    if cursor.peek() == Some(b'(') {
        cursor.list(|cursor| {
            let item = item(cursor)?;
            push(&mut fetch.items, item)
        })?;
    } else {
        let first = cursor.clone();
        match cursor.upper_atom()?.as_str() {
            "FAST" => fetch.items.extend(FAST),
            "ALL" => fetch.items.extend(FAST.into_iter().chain([FetchItem::Envelope])),
            "FULL" => fetch.items.extend(FAST.into_iter().chain([FetchItem::Envelope, FetchItem::Body])),
            _ => {
                *cursor = first;
                fetch.items.push(item(cursor)?);
            }
        }
    }
    if fetch.items.is_empty() {
        return Err(Reason::Arguments("FETCH item expected"));
    }
    if cursor.more() {
        modifiers(cursor, &mut fetch)?;
    }
    Ok(CommandBody::Fetch(fetch))
}

fn push(items: &mut Vec<FetchItem>, item: FetchItem) -> Parsed<()> {
    if items.contains(&item) {
        return Ok(());
    }
    if items.len() == FETCH_ITEMS_MAX {
        return Err(Reason::Arguments("too many FETCH items"));
    }
    items.push(item);
    Ok(())
}

/// fetch-modifier = "CHANGEDSINCE" SP mod-sequence-value / "VANISHED"
fn modifiers(cursor: &mut Cursor<'_>, fetch: &mut Fetch) -> Parsed<()> {
    cursor.list(|cursor| {
        if cursor.eat_word(b"CHANGEDSINCE") && fetch.changed_since.is_none() {
            cursor.space()?;
            fetch.changed_since = Some(cursor.modseq()?);
        } else if cursor.eat_word(b"VANISHED") {
            fetch.vanished = true;
        } else {
            return Err(Reason::Arguments("unknown FETCH modifier"));
        }
        Ok(())
    })?;
    if fetch.vanished && (fetch.numbering != Numbering::Uid || fetch.changed_since.is_none()) {
        return Err(Reason::Arguments("VANISHED needs UID FETCH and CHANGEDSINCE"));
    }
    Ok(())
}

/// fetch-att
fn item(cursor: &mut Cursor<'_>) -> Parsed<FetchItem> {
    // An atom takes in "[": the item's name ends before it.
    let name = cursor.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'.').to_ascii_uppercase();
    let section_follows = cursor.peek() == Some(b'[');
    Ok(match (name.as_slice(), section_follows) {
        (b"BODY", true) => FetchItem::Section(body_section(cursor, false)?),
        (b"BODY.PEEK", true) => FetchItem::Section(body_section(cursor, true)?),
        (b"BINARY", true) => FetchItem::Binary(binary_section(cursor, false)?),
        (b"BINARY.PEEK", true) => FetchItem::Binary(binary_section(cursor, true)?),
        (b"BINARY.SIZE", true) => FetchItem::BinarySize(binary_part(cursor)?),
        (b"ENVELOPE", false) => FetchItem::Envelope,
        (b"FLAGS", false) => FetchItem::Flags,
        (b"INTERNALDATE", false) => FetchItem::InternalDate,
        (b"UID", false) => FetchItem::Uid,
        (b"MODSEQ", false) => FetchItem::ModSeq,
        (b"BODY", false) => FetchItem::Body,
        (b"BODYSTRUCTURE", false) => FetchItem::BodyStructure,
        (b"RFC822", false) => FetchItem::Rfc822,
        (b"RFC822.PEEK", false) => FetchItem::Rfc822Peek,
        (b"RFC822.HEADER", false) => FetchItem::Rfc822Header,
        (b"RFC822.SIZE", false) => FetchItem::Rfc822Size,
        (b"RFC822.TEXT", false) => FetchItem::Rfc822Text,
        _ => return Err(Reason::Arguments("unknown FETCH item")),
    })
}

/// section [partial]
fn body_section(cursor: &mut Cursor<'_>, peek: bool) -> Parsed<BodySection> {
    cursor.expect(b'[', "[ expected")?;
    let section = section(cursor)?;
    cursor.expect(b']', "] expected")?;
    Ok(BodySection { section, partial: partial(cursor)?, peek })
}

/// section-binary [partial]
fn binary_section(cursor: &mut Cursor<'_>, peek: bool) -> Parsed<BinarySection> {
    let part = binary_part(cursor)?;
    Ok(BinarySection { part, partial: partial(cursor)?, peek })
}

/// section-binary = "[" [section-part] "]"
fn binary_part(cursor: &mut Cursor<'_>) -> Parsed<PartPath> {
    cursor.expect(b'[', "[ expected")?;
    let (part, text_follows) = part(cursor)?;
    if text_follows {
        return Err(Reason::Arguments("part number expected"));
    }
    cursor.expect(b']', "] expected")?;
    Ok(part)
}

/// section-spec = section-msgtext / (section-part ["." section-text])
fn section(cursor: &mut Cursor<'_>) -> Parsed<Section> {
    let (part, dot) = part(cursor)?;
    let name = cursor.take_while(|byte| byte.is_ascii_alphabetic() || byte == b'.').to_ascii_uppercase();
    let text_expected = dot || part.0.is_empty();
    let text = match name.as_slice() {
        b"" if !dot => SectionText::Whole,
        _ if !text_expected => return Err(Reason::Arguments("] expected")),
        b"HEADER" => SectionText::Header,
        b"TEXT" => SectionText::Text,
        b"MIME" if dot => SectionText::Mime,
        b"HEADER.FIELDS" => header_fields(cursor, false)?,
        b"HEADER.FIELDS.NOT" => header_fields(cursor, true)?,
        _ => return Err(Reason::Arguments("unknown section")),
    };
    Ok(Section { part, text })
}

/// section-part = nz-number *("." nz-number); also whether a "." follows it.
fn part(cursor: &mut Cursor<'_>) -> Parsed<(PartPath, bool)> {
    let mut part = PartPath::default();
    while cursor.peek().is_some_and(|byte| byte.is_ascii_digit()) {
        if part.0.len() == PART_DEPTH_MAX {
            return Err(Reason::Arguments("part number too deep"));
        }
        part.0.push(cursor.nonzero()?);
        if !cursor.eat(b'.') {
            return Ok((part, false));
        }
    }
    let dot = !part.0.is_empty();
    Ok((part, dot))
}

/// SP header-list = "(" header-fld-name *(SP header-fld-name) ")"
fn header_fields(cursor: &mut Cursor<'_>, not: bool) -> Parsed<SectionText> {
    cursor.space()?;
    let mut fields = Vec::new();
    cursor.list(|cursor| {
        if fields.len() == HEADER_FIELDS_MAX {
            return Err(Reason::Arguments("too many header fields"));
        }
        fields.push(cursor.text()?);
        Ok(())
    })?;
    if fields.is_empty() {
        return Err(Reason::Arguments("header field expected"));
    }
    Ok(SectionText::HeaderFields { fields, not })
}

/// partial = "<" number64 "." nz-number64 ">"
fn partial(cursor: &mut Cursor<'_>) -> Parsed<Option<Partial>> {
    if !cursor.eat(b'<') {
        return Ok(None);
    }
    let offset = cursor.number64()?;
    cursor.expect(b'.', ". expected")?;
    let length = cursor.number64()?;
    cursor.expect(b'>', "> expected")?;
    if length == 0 {
        return Err(Reason::Arguments("number must not be 0"));
    }
    Ok(Some(Partial { offset, length }))
}
