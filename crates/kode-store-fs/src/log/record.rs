//! The bytes of a log file: what is written at each flush, and what of it is good when it is read.
//!
//! Pure: bytes in, values out. A file is lines of JSON like every other of the store: a header, then for each flush
//! one line that says how much follows and how much before it is known to be on the disk, then the records of that
//! flush. A record is an agent's name and the line of its journal, byte for byte.

use kode_core::id::AgentId;
use serde::{Deserialize, Serialize};

use crate::line::{self, Crc};

/// The version of log files that this version reads and writes.
const FORMAT: u32 = 1;

const AGENT: &[u8] = br#"{"agent":""#;
const LINE: &[u8] = br#"","line":"#;

/// The first line of a file.
#[derive(Serialize, Deserialize)]
struct FileHeader {
    /// The version of all that follows.
    log: u32,
    /// The number in the file's name.
    number: u64,
}

/// The line before the records of one flush.
#[derive(Serialize, Deserialize)]
struct Flush {
    /// Bytes of records that follow.
    bytes: usize,
    /// Their checksum.
    sum: Crc,
    /// Up to which byte of this file its writer knew it to be on the disk.
    synced: usize,
    /// The number in the file's name: what an older file left behind is none of this one.
    number: u64,
}

/// The first line of the file of this number.
pub(super) fn header(number: u64) -> Vec<u8> {
    line::seal(&FileHeader { log: FORMAT, number }).0
}

/// Adds a journal's line (with its newline) as a record.
pub(super) fn push(records: &mut Vec<u8>, agent: &AgentId, line: &[u8]) {
    records.reserve(AGENT.len() + agent.as_str().len() + LINE.len() + line.len() + 2);
    records.extend_from_slice(AGENT);
    // An id has no letter that JSON would write otherwise.
    records.extend_from_slice(agent.as_str().as_bytes());
    records.extend_from_slice(LINE);
    records.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
    records.extend_from_slice(b"}\n");
}

/// The bytes of one flush.
pub(super) fn flush(number: u64, synced: usize, records: &[u8]) -> Vec<u8> {
    let sum = Crc(crc32c::crc32c(records));
    let (mut bytes, _) = line::seal(&Flush { bytes: records.len(), sum, synced, number });
    bytes.extend_from_slice(records);
    bytes
}

/// One line of a journal, as a log file has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'b> {
    /// Whose journal.
    pub agent: &'b str,
    /// The line, without its newline.
    pub line: &'b [u8],
}

/// What is good of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Good<'b> {
    /// The records, in order.
    pub records: Vec<Record<'b>>,
    /// Where the last whole flush ends.
    pub end: usize,
}

/// Why a file is not to be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// A later version wrote it.
    Later,
    /// From this byte on it is not what was written, and that was on the disk.
    Damaged(usize),
}

/// Reads the file of this number. What is torn at its end was never acknowledged and does not count.
pub(super) fn read(bytes: &[u8], number: u64) -> Result<Good<'_>, Unreadable> {
    let mut good = Good { records: Vec::new(), end: 0 };
    let Some(first) = line_at(bytes, 0) else { return torn(bytes, good, number) };
    match line::unseal::<FileHeader>(first) {
        Ok((_, header)) if header.log > FORMAT => return Err(Unreadable::Later),
        Ok((_, header)) if header.number == number => good.end = first.len() + 1,
        Ok(_) | Err(_) => return torn(bytes, good, number),
    }
    while let Some((records, end)) = flush_at(bytes, good.end, number) {
        let whole = records.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(record);
        let Some(records) = whole.collect::<Option<Vec<_>>>() else { return Err(Unreadable::Later) };
        good.records.extend(records);
        good.end = end;
    }
    torn(bytes, good, number)
}

/// Whether nothing behind the good part says that more was on the disk. What says so may begin anywhere: the newline
/// before it may be what is damaged.
fn torn<'b>(bytes: &[u8], good: Good<'b>, number: u64) -> Result<Good<'b>, Unreadable> {
    let rest = &bytes[good.end..];
    let flushes = memchr::memmem::find_iter(rest, line::OPENING).filter_map(|at| {
        let line = line_at(rest, at)?;
        line::unseal::<Flush>(line).ok().map(|(_, flush)| flush)
    });
    let claimed = flushes.filter(|flush| flush.number == number).map(|flush| flush.synced).max();
    if claimed.is_some_and(|claimed| claimed > good.end) {
        Err(Unreadable::Damaged(good.end))
    } else {
        Ok(good)
    }
}

/// The records of the flush that begins here, and where it ends, if all of it is there.
fn flush_at(bytes: &[u8], at: usize, number: u64) -> Option<(&[u8], usize)> {
    let head = line_at(bytes, at)?;
    let (_, flush) = line::unseal::<Flush>(head).ok()?;
    let from = at + head.len() + 1;
    let end = from.checked_add(flush.bytes)?;
    let records = bytes.get(from..end)?;
    let is_whole = flush.number == number && crc32c::crc32c(records) == flush.sum.0;
    is_whole.then_some((records, end))
}

fn line_at(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let rest = bytes.get(at..)?;
    memchr::memchr(b'\n', rest).map(|end| &rest[..end])
}

fn record(bytes: &[u8]) -> Option<Record<'_>> {
    let rest = bytes.strip_prefix(AGENT)?;
    let at = memchr::memmem::find(rest, LINE)?;
    let line = rest[at + LINE.len()..].strip_suffix(b"}")?;
    Some(Record { agent: std::str::from_utf8(&rest[..at]).ok()?, line })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> (Vec<u8>, Vec<usize>) {
        let (a, b) = (AgentId::new("a").unwrap(), AgentId::new("user:1").unwrap());
        let mut bytes = header(7);
        let mut ends = vec![bytes.len()];
        for round in 0..3 {
            let mut records = Vec::new();
            push(&mut records, &a, format!("{{\"crc\":\"{round:08x}\"}}\n").as_bytes());
            push(&mut records, &b, b"{\"crc\":\"0000000f\"}\n");
            bytes.extend(flush(7, *ends.last().unwrap(), &records));
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    #[test]
    fn a_file_reads_back_and_is_readable_json() {
        let (bytes, ends) = file();
        let good = read(&bytes, 7).unwrap();
        assert_eq!((good.records.len(), good.end), (6, *ends.last().unwrap()));
        assert_eq!(good.records[1], Record { agent: "user:1", line: b"{\"crc\":\"0000000f\"}" });
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            serde_json::from_slice::<serde_json::Value>(line).unwrap();
        }
    }

    #[test]
    fn g1_a_file_cut_anywhere_has_its_whole_flushes() {
        let (bytes, ends) = file();
        for cut in 0..bytes.len() {
            let good = read(&bytes[..cut], 7).unwrap();
            let whole = ends.iter().filter(|end| **end <= cut).max().copied().unwrap_or(0);
            assert_eq!(good.end, whole, "cut at {cut}");
        }
    }

    #[test]
    fn g7_a_changed_byte_is_damage_where_a_later_flush_knew_it_on_the_disk() {
        let (bytes, ends) = file();
        let known = ends[ends.len() - 2];
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x01;
            let read = read(&changed, 7);
            match read {
                Err(Unreadable::Damaged(from)) => assert!(from <= at && at < known, "byte {at}"),
                Ok(good) => assert!(at >= known && good.end == known, "byte {at}: {good:?}"),
                Err(Unreadable::Later) => panic!("byte {at} is no later version"),
            }
        }
    }

    #[test]
    fn what_an_older_file_left_behind_does_not_count() {
        let (bytes, ends) = file();
        let mut recycled = header(8);
        let own = recycled.len();
        recycled.extend_from_slice(&bytes[ends[0]..]);
        assert_eq!(read(&recycled, 8).unwrap().end, own);
    }
}
