//! What keys have spent, as `/api/usage` tells it.

use kode_core::store::counters::Day;
use schemars::JsonSchema;
use serde::Serialize;

/// Spending by day.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Spending {
    /// What costs are in, where prices are configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) currency: Option<String>,
    pub(crate) days: Vec<DaySpent>,
}

/// One day, in UTC.
#[derive(Serialize, JsonSchema)]
pub(crate) struct DaySpent {
    /// Such as `2026-01-31`.
    day: String,
    keys: Vec<KeySpent>,
}

/// What agents under the prefixes of one key have spent, whoever asked for it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeySpent {
    pub(crate) name: String,
    pub(crate) tokens: u64,
    /// In millionths of the currency's unit.
    pub(crate) cost_micros: u64,
}

impl DaySpent {
    pub(crate) fn of(day: Day, keys: Vec<KeySpent>) -> Self {
        Self { day: date(day), keys }
    }
}

/// A day as people write it, by the calendar of 400 years with 146,097 days.
fn date(Day(day): Day) -> String {
    // Years that begin in March have their leap day at their end.
    let since = u64::from(day) + 719_468;
    let (era, of_era) = (since / 146_097, since % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_written_as_the_calendar_has_them() {
        let days = [0, 58, 59, 11_016, 11_017, 20_454, 20_784];
        let expected = [
            "1970-01-01",
            "1970-02-28",
            "1970-03-01",
            "2000-02-29",
            "2000-03-01",
            "2026-01-01",
            "2026-11-27",
        ];
        assert_eq!(days.map(|day| date(Day(day))), expected);
    }
}
