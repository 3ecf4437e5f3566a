//! Upstream's times as milliseconds: ISO 8601 text, as JavaScript writes it, or a number.

use kode_core::id::Millis;
use serde_json::Value;

/// The milliseconds of a number; of a fraction, the whole ones.
pub(crate) fn number(value: &Value) -> Option<Millis> {
    value.as_u64().or_else(|| value.as_f64().filter(|ms| (0.0..9.0e15).contains(ms)).map(|ms| ms as Millis))
}

/// The milliseconds of `2025-01-31T09:30:00.000Z`, with an offset instead of `Z`, or of a number.
pub(crate) fn instant(value: &Value) -> Option<Millis> {
    value.as_str().map_or_else(|| number(value), text)
}

fn text(text: &str) -> Option<Millis> {
    let (date, time) = text.split_once('T')?;
    let at = time.find(['Z', '+', '-'])?;
    let (clock, zone) = time.split_at(at);
    let days = days(&numbers(date, '-')?)?;
    let (whole, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [hours, minutes, seconds] = numbers(whole, ':')?;
    (hours < 24 && minutes < 60 && seconds <= 60).then_some(())?;
    let thousandths: i64 = format!("{fraction:0<3.3}").parse().ok()?;
    let ms = ((days * 24 + hours) * 60 + minutes) * 60_000 + seconds * 1_000 + thousandths;
    Millis::try_from(ms - offset(zone)?).ok()
}

fn numbers(text: &str, between: char) -> Option<[i64; 3]> {
    let parts: Option<Vec<i64>> = text
        .split(between)
        .map(|part| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok()).flatten())
        .collect();
    parts?.try_into().ok()
}

/// Milliseconds ahead of UTC.
fn offset(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let [hours, minutes, _] = numbers(&format!("{}:0", &zone[1..]), ':')?;
    Some(sign * (hours * 60 + minutes) * 60_000)
}

/// Days since 1970-01-01, by the Gregorian calendar.
fn days([year, month, day]: &[i64; 3]) -> Option<i64> {
    if !(1970..=9999).contains(year) || !(1..=12).contains(month) || !(1..=31).contains(day) {
        return None;
    }
    // A year that begins in March has its leap day last.
    let (year, month) = if *month > 2 { (*year, month - 3) } else { (year - 1, month + 9) };
    let of_years = year * 365 + year / 4 - year / 100 + year / 400;
    Some(of_years + (153 * month + 2) / 5 + day - 1 - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_javascript_writes_is_read() {
        assert_eq!(instant(&json!("1970-01-01T00:00:00.000Z")), Some(0));
        assert_eq!(instant(&json!("2024-02-29T12:34:56.789Z")), Some(1_709_210_096_789));
        assert_eq!(instant(&json!("2025-01-01T00:00:00Z")), Some(1_735_689_600_000));
        assert_eq!(instant(&json!("2025-01-01T08:00:00.5+08:00")), Some(1_735_689_600_500));
        assert_eq!(instant(&json!("2024-12-31T19:00:00-05:00")), Some(1_735_689_600_000));
        assert_eq!(instant(&json!(1_735_689_600_000_u64)), Some(1_735_689_600_000));
        assert_eq!(instant(&json!(12.7)), Some(12));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "yesterday",
            "2025-13-01T00:00:00Z",
            "2025-01-01",
            "2025-01-01T25:00:00Z",
            "T",
            "1-2-3T4:5:6Z",
        ] {
            assert_eq!(instant(&json!(text)), None, "{text}");
        }
        assert_eq!((instant(&json!(-1)), instant(&json!(null)), instant(&json!({}))), (None, None, None));
    }
}
