//! What commands print: stdout that ends quietly when its reader does, tables, and times.

use std::fmt::Display;
use std::io::{self, BufWriter, Stdout, Write};

use kode_core::id::Millis;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::failure::Failure;

/// Standard output, held back until [`Out::flush`] or the end.
pub(crate) struct Out(BufWriter<Stdout>);

impl Out {
    pub(crate) fn new() -> Self {
        Self(BufWriter::new(io::stdout()))
    }

    /// Prints one line.
    pub(crate) fn line(&mut self, line: impl Display) -> Result<(), Failure> {
        Ok(writeln!(self.0, "{line}")?)
    }

    /// Prints a part of a line.
    pub(crate) fn part(&mut self, part: impl Display) -> Result<(), Failure> {
        Ok(write!(self.0, "{part}")?)
    }

    /// Gives what was printed to the reader.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.0.flush()?)
    }

    /// Whether nobody reads what is printed any more. What waits for the next line would otherwise wait for it
    /// after `| grep -m1` has gone.
    pub(crate) fn is_closed(&self) -> bool {
        let mut ends = [PollFd::new(self.0.get_ref(), PollFlags::empty())];
        let polled = poll(&mut ends, Some(&Timespec::default()));
        polled.is_ok() && ends[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
    }

    /// Prints rows under their names, in columns.
    pub(crate) fn table(&mut self, rows: &[Vec<String>]) -> Result<(), Failure> {
        let width =
            |column: usize| rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count()).max();
        for row in rows {
            let last = row.len().saturating_sub(1);
            let cells = row.iter().enumerate().map(|(at, cell)| match at {
                at if at == last => cell.clone(),
                at => format!("{cell:<width$}  ", width = width(at).unwrap_or_default()),
            });
            self.line(cells.collect::<String>().trim_end())?;
        }
        Ok(())
    }
}

/// Millionths of a currency's unit, as people write money: to the hundredth, or as exactly as what is less needs.
pub(crate) fn money(micros: u64) -> String {
    let (whole, rest) = (micros / 1_000_000, micros % 1_000_000);
    let digits = format!("{rest:06}");
    let exact = digits.trim_end_matches('0');
    format!("{whole}.{exact:0<2}")
}

/// A time as people write it, in UTC.
pub(crate) fn utc(at: Millis) -> String {
    let (secs, day) = (at / 1_000, at / 86_400_000);
    let (year, month, day) = date(day);
    let (hour, minute, second) = (secs / 3_600 % 24, secs / 60 % 60, secs % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
}

/// The date so many days after 1970-01-01.
fn date(mut days: u64) -> (u64, u64, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    // Whole cycles of 400 years first, so that a wrong number costs no more than a right one.
    let mut year = 1970 + days / 146_097 * 400;
    days %= 146_097;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_exact() {
        let told = [0, 1, 20_000, 1_500_000, 12_345_678].map(money);
        assert_eq!(told, ["0.00", "0.000001", "0.02", "1.50", "12.345678"]);
    }

    #[test]
    fn times_are_written_in_utc() {
        assert_eq!(utc(0), "1970-01-01 00:00:00Z");
        assert_eq!(utc(951_782_400_000), "2000-02-29 00:00:00Z");
        assert_eq!(utc(1_767_225_599_999), "2025-12-31 23:59:59Z");
        assert_eq!(utc(4_107_542_400_000), "2100-03-01 00:00:00Z");
        assert!(utc(Millis::MAX).ends_with('Z'));
    }
}
