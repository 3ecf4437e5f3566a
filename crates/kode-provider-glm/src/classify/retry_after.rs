//! The `Retry-After` header.

use std::time::{Duration, UNIX_EPOCH};

use kode_core::id::Millis;

/// How long to wait, in milliseconds from `now`: seconds, also with a fraction, or an HTTP date, which in
/// the past means at once. Anything else is as if the header were not there.
#[must_use]
pub fn retry_after(header: &str, now: Millis) -> Option<Millis> {
    let header = header.trim();
    match header.parse::<f64>() {
        Ok(seconds) => millis(Duration::try_from_secs_f64(seconds).ok()?),
        Err(_) => {
            let at = httpdate::parse_http_date(header).ok()?.duration_since(UNIX_EPOCH).ok()?;
            Some(millis(at)?.saturating_sub(now))
        }
    }
}

fn millis(duration: Duration) -> Option<Millis> {
    Millis::try_from(duration.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = 784_111_777_000; // Sun, 06 Nov 1994 08:49:37 GMT.
        assert_eq!(retry_after("3", now), Some(3_000));
        assert_eq!(retry_after(" 0.25 ", now), Some(250));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:40 GMT", now), Some(3_000));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:30 GMT", now), Some(0));
        for junk in ["", "soon", "-1", "NaN", "inf", "1e300"] {
            assert_eq!(retry_after(junk, now), None, "{junk:?}");
        }
    }
}
