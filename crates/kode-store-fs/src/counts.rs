//! Counts by name and day: one file a day, to which each addition is a line. What is counted is of use for a day, so
//! nothing here is synced, and a line that a power loss tore is passed over.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::sync::{Mutex, PoisonError};

use kode_core::store::StoreResult;
use kode_core::store::counters::Day;

use crate::disk::{Access, Disk, DiskFile, content};
use crate::error::failed;
use crate::store::Store;

/// The directory of the files.
const COUNTS: &str = ".counts";

/// The counts of the days that were asked for.
#[derive(Default)]
pub(crate) struct Counts(Mutex<BTreeMap<Day, Open>>);

/// One day's file, read.
struct Open {
    file: Box<dyn DiskFile>,
    /// Where the next line is written: behind the last whole one.
    end: u64,
    sums: BTreeMap<String, u64>,
}

impl Counts {
    pub(crate) fn add(&self, disk: &dyn Disk, name: &str, day: Day, n: u64) -> StoreResult<u64> {
        let mut days = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = match days.entry(day) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(place) => {
                place.insert(open(disk, day).map_err(failed("opening the counts of a day"))?)
            }
        };
        let sum = open.add(name, n).map_err(failed("adding to a count"));
        days.retain(|known, _| known.0.saturating_add(1) >= day.0);
        sum
    }

    pub(crate) fn count(&self, disk: &dyn Disk, name: &str, day: Day) -> StoreResult<u64> {
        if let Some(open) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&day) {
            return Ok(open.sums.get(name).copied().unwrap_or_default());
        }
        let read = disk.open(&file(day), Access::Read).and_then(|file| content(&*file));
        match read {
            Ok(bytes) => Ok(sums(&bytes).0.get(name).copied().unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(failed("reading a count")(error)),
        }
    }
}

impl Store {
    pub(crate) fn add_to_count(&self, name: &str, day: Day, n: u64) -> StoreResult<u64> {
        self.writable()?;
        self.counts.add(self.disk(), name, day, n)
    }

    pub(crate) fn count(&self, name: &str, day: Day) -> StoreResult<u64> {
        self.counts.count(self.disk(), name, day)
    }
}

impl Open {
    fn add(&mut self, name: &str, n: u64) -> io::Result<u64> {
        let line = serde_json::to_string(&(name, n)).map_err(io::Error::other)? + "\n";
        self.file.write_at(line.as_bytes(), self.end)?;
        self.end += line.len() as u64;
        let sum = self.sums.entry(name.to_owned()).or_default();
        *sum = sum.saturating_add(n);
        Ok(*sum)
    }
}

fn file(day: Day) -> String {
    format!("{COUNTS}/{}", day.0)
}

/// Opens a day's file, and forgets the days before the day before.
fn open(disk: &dyn Disk, day: Day) -> io::Result<Open> {
    disk.make_dir(COUNTS)?;
    let mut old = Vec::new();
    disk.each_name(COUNTS, &mut |name| {
        if name.parse().is_ok_and(|known: u32| known.saturating_add(1) < day.0) {
            old.push(name.to_owned());
        }
    })?;
    for name in old {
        disk.remove_file(&format!("{COUNTS}/{name}"))?;
    }
    let file = disk.open(&file(day), Access::Make)?;
    let (sums, end) = sums(&content(&*file)?);
    file.set_len(end)?;
    Ok(Open { file, end, sums })
}

/// The sums of whole lines, and where they end. A line that is none is passed over.
fn sums(bytes: &[u8]) -> (BTreeMap<String, u64>, u64) {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    for line in bytes[..end].split(|byte| *byte == b'\n') {
        if let Ok((name, n)) = serde_json::from_slice::<(String, u64)>(line) {
            let sum = sums.entry(name).or_default();
            *sum = sum.saturating_add(n);
        }
    }
    (sums, end as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_is_passed_over_and_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let disk = crate::disk::HostDisk::make(dir.path()).unwrap();
        let day = Day(20_000);
        Counts::default().add(&disk, "a\n\"b", day, 2).unwrap();
        let path = dir.path().join(file(day));
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend(b"not a line\n[\"a");
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(Counts::default().count(&disk, "a\n\"b", day), Ok(2));
        assert_eq!(Counts::default().add(&disk, "a\n\"b", day, 3), Ok(5));
        assert_eq!(Counts::default().count(&disk, "a\n\"b", day), Ok(5));
    }

    #[test]
    fn old_days_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let disk = crate::disk::HostDisk::make(dir.path()).unwrap();
        let counts = Counts::default();
        for day in [1, 2, 3] {
            counts.add(&disk, "a", Day(day), 1).unwrap();
        }
        let left = |day| counts.count(&disk, "a", Day(day)).unwrap();
        assert_eq!((left(1), left(2), left(3)), (0, 1, 1));
    }
}
