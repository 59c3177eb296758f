//! Points in time as data. Nobody reads a clock here.

/// Milliseconds since 1970-01-01T00:00:00Z. A group's log never goes back in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Whole seconds, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

/// INTERNALDATE: an instant with the zone it was given in (RFC 9051 §2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InternalDate {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub seconds: i64,
    /// East of Greenwich, in minutes.
    pub zone_minutes: i16,
}

impl InternalDate {
    /// Calendar fields in its own zone: `(year, month 1-12, day 1-31, hour, minute, second)`.
    pub fn civil(self) -> (i32, u8, u8, u8, u8, u8) {
        let local = self.seconds + i64::from(self.zone_minutes) * 60;
        let (year, month, day) = civil_from_days(local.div_euclid(86_400));
        let rest = local.rem_euclid(86_400);
        (year, month, day, (rest / 3600) as u8, (rest / 60 % 60) as u8, (rest % 60) as u8)
    }

    /// From calendar fields in a zone; fields are taken as they are, so `second` may be 60.
    pub fn from_civil(date: (i32, u8, u8), time: (u8, u8, u8), zone_minutes: i16) -> Self {
        let days = days_from_civil(date.0, date.1, date.2);
        let seconds = i64::from(time.0) * 3600 + i64::from(time.1) * 60 + i64::from(time.2);
        Self { seconds: days * 86_400 + seconds - i64::from(zone_minutes) * 60, zone_minutes }
    }
}

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar, counted in eras of 400 years that begin
/// in March, so that the leap day comes last.
pub fn days_from_civil(year: i32, month: u8, day: u8) -> i64 {
    let year = i64::from(year) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The date of a number of days since 1970-01-01.
pub fn civil_from_days(days: i64) -> (i32, u8, u8) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u8;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 } as u8;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year as i32, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn civil_and_back() {
        for days in (-1_000_000..1_000_000).step_by(37) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
        assert_eq!(civil_from_days(0), (1970, 1, 1));
        assert_eq!(days_from_civil(2000, 2, 29), 11_016);
    }

    #[test]
    fn internal_dates_keep_their_zone() {
        let date = InternalDate::from_civil((1996, 7, 17), (2, 44, 25), -420);
        assert_eq!(date.seconds, 837_596_665);
        assert_eq!(date.civil(), (1996, 7, 17, 2, 44, 25));
    }
}
