//! Dates of the protocol: `"17-Jul-1996 02:44:25 -0700"`, `1-Feb-1994` (RFC 9051 §9 `date-time`, `date`).

use crate::command::search::SearchDate;
use buzon_types::time::InternalDate;

const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
/// The bytes of a date-time without its quotes.
pub(crate) const DATE_TIME_BYTES: usize = 26;
/// 0001-01-02 and 9999-12-30: whatever the zone, the year has four digits.
const SECONDS_MIN: i64 = -62_135_510_400;
const SECONDS_MAX: i64 = 253_402_128_000;

/// date-time without its quotes; a day of one digit may lack its space.
pub(crate) fn parse_date_time(text: &[u8]) -> Option<InternalDate> {
    let text = text.trim_ascii();
    let (date, rest) = split_once(text, b' ')?;
    let (time, zone) = split_once(rest.trim_ascii_start(), b' ')?;
    let date = parse_date(date)?;
    let &[h1, h2, b':', m1, m2, b':', s1, s2] = time else { return None };
    let (hour, minute, second) = (two(h1, h2)?, two(m1, m2)?, two(s1, s2)?);
    let &[sign, z1, z2, z3, z4] = zone.trim_ascii_start() else { return None };
    let (zone_hour, zone_minute) = (two(z1, z2)?, two(z3, z4)?);
    if hour > 23 || minute > 59 || second > 60 || zone_hour > 23 || zone_minute > 59 {
        return None;
    }
    let zone = i16::from(zone_hour) * 60 + i16::from(zone_minute);
    let zone = match sign {
        b'+' => zone,
        b'-' => -zone,
        _ => return None,
    };
    Some(InternalDate::from_civil((i32::from(date.year), date.month, date.day), (hour, minute, second), zone))
}

/// date-text = date-day "-" date-month "-" date-year
pub(crate) fn parse_date(text: &[u8]) -> Option<SearchDate> {
    let (day, rest) = split_once(text, b'-')?;
    let (month, year) = split_once(rest, b'-')?;
    let day = match *day {
        [one] => two(b'0', one)?,
        [ten, one] => two(ten, one)?,
        _ => return None,
    };
    let month = 1 + MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))? as u8;
    let &[y1, y2, y3, y4] = year else { return None };
    let year = u16::from(two(y1, y2)?) * 100 + u16::from(two(y3, y4)?);
    (day >= 1 && day <= days_in(month, year)).then_some(SearchDate { year, month, day })
}

/// date-time without its quotes.
pub(crate) fn format_date_time(date: InternalDate) -> [u8; DATE_TIME_BYTES] {
    let zone_minutes = date.zone_minutes.clamp(-1439, 1439);
    let date = InternalDate { seconds: date.seconds.clamp(SECONDS_MIN, SECONDS_MAX), zone_minutes };
    let (year, month, day, hour, minute, second) = date.civil();
    let mut text = *b"00-Jan-0000 00:00:00 +0000";
    let mut put = |at: usize, value: u32| {
        text[at] = b'0' + (value / 10 % 10) as u8;
        text[at + 1] = b'0' + (value % 10) as u8;
    };
    put(0, day.into());
    put(7, year.unsigned_abs() / 100);
    put(9, year.unsigned_abs() % 100);
    put(12, hour.into());
    put(15, minute.into());
    put(18, second.into());
    put(22, u32::from(zone_minutes.unsigned_abs()) / 60);
    put(24, u32::from(zone_minutes.unsigned_abs()) % 60);
    if text[0] == b'0' {
        text[0] = b' ';
    }
    text[3..6].copy_from_slice(MONTHS[usize::from(month).clamp(1, 12) - 1]);
    if zone_minutes < 0 {
        text[21] = b'-';
    }
    text
}

fn days_in(month: u8, year: u16) -> u8 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn two(ten: u8, one: u8) -> Option<u8> {
    (ten.is_ascii_digit() && one.is_ascii_digit()).then(|| (ten - b'0') * 10 + (one - b'0'))
}

fn split_once(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(at, text)?;
    Some((&text[..at], &text[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn date_times_of_the_rfc_come_back() {
        let text = b"17-Jul-1996 02:44:25 -0700";
        assert_eq!(&format_date_time(parse_date_time(text).unwrap()), text);
        let date = parse_date_time(b" 7-Feb-1994 21:52:25 -0800").unwrap();
        assert_eq!(date, InternalDate::from_civil((1994, 2, 7), (21, 52, 25), -480));
        assert_eq!(parse_date_time(b"7-feb-1994 21:52:25 -0800"), Some(date));
        assert_eq!(&format_date_time(date), b" 7-Feb-1994 21:52:25 -0800");
    }

    #[test]
    fn impossible_dates_are_refused() {
        for text in [
            "30-Feb-2020",
            "29-Feb-1900",
            "0-Jan-2000",
            "32-Jan-2000",
            "1-Foo-2000",
            "1-Jan-20000",
            "1-Jan-0x10",
            "1-1-2000",
            "001-Jan-2000",
            "",
        ] {
            assert_eq!(parse_date(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_date(b"29-feb-2000"), Some(SearchDate { year: 2000, month: 2, day: 29 }));
        for text in [
            "1-Jan-2000 24:00:00 +0000",
            "1-Jan-2000 00:00:00 0000",
            "1-Jan-2000 0:00:00 +0000",
            "1-Jan-2000 00:00:00 +2400",
            "1-Jan-2000",
        ] {
            assert_eq!(parse_date_time(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_instant_is_written_and_read(seconds in -62_135_510_400i64..253_402_128_000, zone in -1439i16..1440) {
            let date = InternalDate { seconds, zone_minutes: zone };
            prop_assert_eq!(parse_date_time(&format_date_time(date)), Some(date));
        }

        #[test]
        fn any_instant_is_written_somehow(seconds in any::<i64>(), zone in any::<i16>()) {
            let text = format_date_time(InternalDate { seconds, zone_minutes: zone });
            prop_assert!(parse_date_time(&text).is_some());
        }
    }
}
