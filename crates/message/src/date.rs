//! The Date field (RFC 5322 §3.3), read as forgivingly as senders are careless.

use crate::header::{Fields, unfold};
use buzon_types::time::InternalDate;

/// The date of a header's first Date field.
pub fn sent(raw_header: &[u8]) -> Option<InternalDate> {
    let field = Fields::of(raw_header).find(|field| field.is(b"Date"))?;
    parse(&unfold(&field.value[..field.value.len().min(DATE_BYTES_MAX)]))
}

/// date-time = [ day-name "," ] day month year time-of-day zone; comments anywhere, seconds and zone optional, the
/// obsolete years and zones of §4.3 too. Fields out of range make it no date.
pub fn parse(text: &[u8]) -> Option<InternalDate> {
    let text = &text[..text.len().min(DATE_BYTES_MAX)];
    let plain = without_comments(text);
    let mut words = plain.split(|byte| b" \t,".contains(byte)).filter(|word| !word.is_empty()).peekable();
    if words.peek()?.first()?.is_ascii_alphabetic() {
        words.next(); // the day's name says nothing new
    }
    let (day, month, year) = date(&mut words)?;
    let (hour, minute, second) = time(words.next()?)?;
    let zone_minutes = words.next().map_or(0, zone);
    Some(InternalDate::from_civil((year, month, day), (hour, minute, second), zone_minutes))
}

/// No date is longer, however commented.
const DATE_BYTES_MAX: usize = 256;
const MONTHS: [&[u8; 3]; 12] =
    [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];

fn without_comments(text: &[u8]) -> Vec<u8> {
    let mut depth = 0_u32;
    let mut plain = Vec::with_capacity(text.len());
    for &byte in text {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(byte),
            _ => {}
        }
    }
    plain
}

/// `21 Nov 1997`, also `21-Nov-97`.
fn date<'a>(words: &mut impl Iterator<Item = &'a [u8]>) -> Option<(u8, u8, i32)> {
    let first = words.next()?;
    let parts: Vec<&[u8]> = if first.contains(&b'-') {
        first.splitn(3, |&byte| byte == b'-').collect()
    } else {
        vec![first, words.next()?, words.next()?]
    };
    let [day, month, year] = parts[..] else { return None };
    let name = month.get(..3)?.to_ascii_lowercase();
    let month = MONTHS.iter().position(|known| known[..] == name[..])? as u8 + 1;
    let year = match (number(year)? as i32, year.len()) {
        (year @ 0..=49, 2) => 2000 + year,
        (year, 2 | 3) => 1900 + year,
        (year, _) => year,
    };
    let day = number(day)? as u8;
    ((1..=31).contains(&day) && (1900..=9999).contains(&year)).then_some((day, month, year))
}

/// `14:55` or `14:55:06`; 60 for a leap second.
fn time(word: &[u8]) -> Option<(u8, u8, u8)> {
    let mut parts = word.split(|&byte| byte == b':' || byte == b'.');
    let hour = number(parts.next()?)?;
    let minute = number(parts.next()?)?;
    let second = parts.next().map_or(Some(0), number)?;
    (hour < 24 && minute < 60 && second <= 60).then_some((hour as u8, minute as u8, second as u8))
}

/// Minutes east; what is unknown is UTC, as RFC 5322 §4.3 says.
fn zone(word: &[u8]) -> i16 {
    let (sign, digits) = match word {
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return named_zone(word),
    };
    match number(digits) {
        Some(value) if digits.len() == 4 && value % 100 < 60 => {
            sign * (value / 100 * 60 + value % 100) as i16
        }
        _ => 0,
    }
}

fn named_zone(word: &[u8]) -> i16 {
    match word.to_ascii_uppercase().as_slice() {
        b"EDT" => -4 * 60,
        b"EST" | b"CDT" => -5 * 60,
        b"CST" | b"MDT" => -6 * 60,
        b"MST" | b"PDT" => -7 * 60,
        b"PST" => -8 * 60,
        _ => 0,
    }
}

/// Digits only, at most four.
fn number(digits: &[u8]) -> Option<u16> {
    if digits.is_empty() || digits.len() > 4 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |value, digit| value * 10 + u16::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Civil = (i32, u8, u8, u8, u8, u8);

    fn civil(text: &str) -> Option<(Civil, i16)> {
        parse(text.as_bytes()).map(|date| (date.civil(), date.zone_minutes))
    }

    #[test]
    fn dates_of_the_rfc_and_of_the_wild_are_read() {
        let known = Some(((1997, 11, 21, 9, 55, 6), -360));
        assert_eq!(civil("Fri, 21 Nov 1997 09:55:06 -0600"), known);
        assert_eq!(civil("21 Nov 97 09:55:06 -0600"), known);
        assert_eq!(civil("Fri (x), 21-Nov-1997 09:55:06 CST (really)"), known);
        assert_eq!(civil("Friday,21 November 1997 9:55:06 -0600"), known);
        assert_eq!(civil("Thu, 13 Feb 1969 23:32 -0330"), Some(((1969, 2, 13, 23, 32, 0), -210)));
        assert_eq!(civil("1 Jan 2020 00:00:00"), Some(((2020, 1, 1, 0, 0, 0), 0)));
        assert_eq!(civil("1 Jan 2020 00:00:00 +9999"), Some(((2020, 1, 1, 0, 0, 0), 0)));
    }

    #[test]
    fn nonsense_is_no_date() {
        for text in [
            "",
            "today",
            "32 Jan 2020 00:00:00 +0000",
            "1 Foo 2020 00:00",
            "1 Jan 2020",
            "1 Jan 2020 25:00",
            "1 Jan 99999 1:1",
        ] {
            assert_eq!(civil(text), None, "{text}");
        }
    }
}
