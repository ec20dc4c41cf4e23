//! The time of the system's clock, as the rest of the program shows it.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Returns `time` as a timestamp. The system clock can be set to any year, but the calendar ends at 9999: later or
/// earlier times become its limits, so that the output goes on.
pub fn timestamp(time: SystemTime) -> Timestamp {
    let end = if time < UNIX_EPOCH { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::try_from(time).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::tz::{Offset, TimeZone};

    use super::*;

    #[test]
    fn a_clock_outside_the_calendar_is_clamped() {
        const YEAR: u64 = 31_556_952;
        let after = |years: u64| timestamp(UNIX_EPOCH + Duration::from_secs(years * YEAR));
        let before = |years: u64| timestamp(UNIX_EPOCH - Duration::from_secs(years * YEAR));
        assert_eq!(timestamp(UNIX_EPOCH), Timestamp::UNIX_EPOCH);
        assert_eq!(after(1).as_second(), 31_556_952);
        assert_eq!(before(1).as_second(), -31_556_952);
        for years in [8_100, 20_000, 290_000_000] {
            assert_eq!(after(years), Timestamp::MAX, "{years}");
        }
        for years in [12_100, 20_000, 290_000_000] {
            assert_eq!(before(years), Timestamp::MIN, "{years}");
        }
        // Also where it is later or earlier than in Greenwich.
        for zone in [Offset::MIN, Offset::MAX, Offset::UTC].map(TimeZone::fixed) {
            for end in [Timestamp::MIN, Timestamp::MAX] {
                assert!(!end.to_zoned_datetime(zone.clone()).to_string().is_empty());
            }
        }
    }
}
