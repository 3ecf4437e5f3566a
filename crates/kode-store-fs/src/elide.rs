//! Lines that stand for others: what of a segment is left when runs of entries are replaced.
//!
//! A run's lines become one line with the entries that are left. It names the line before the run, and as its
//! anchor the checksum of the run's last line; so the lines behind it stay as they are, byte for byte. Which
//! entries make a run is the caller's to know.

use std::collections::VecDeque;

use kode_core::id::{AgentId, Seq};
use kode_core::store::{Elision, Head, StoreResult};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::chain::{Chunk, Tip};
use crate::disk::Source;
use crate::error::{failed, incompatible};
use crate::line::{self, Crc, Line};
use crate::segment::{self, Segment};

/// One entry as it is written, and the range that it stands for.
struct Item {
    from: Seq,
    seq: Seq,
    json: Box<RawValue>,
}

/// Lines that become one.
struct Group {
    /// Before the first.
    before: Tip,
    synced: Seq,
    /// Behind the last.
    head: Head,
    anchor: Crc,
    items: Vec<Item>,
    /// The lines as they are, for a group of which nothing is replaced after all.
    bytes: Vec<u8>,
}

/// The lines of a segment up to `until`, with these runs replaced; `None` if nothing is.
///
/// # Errors
/// `Damaged` if the lines do not lead to `until`.
pub(crate) fn lines<S: Source>(
    agent: &AgentId,
    segment: &Segment<S>,
    until: Head,
    runs: &[Elision],
) -> StoreResult<Option<Vec<u8>>> {
    let (number, after) = (segment.header.segment, segment.header.after.seq);
    let mut runs: VecDeque<&Elision> =
        runs.iter().filter(|run| run.from > after && run.entry.seq <= until.seq).collect();
    if runs.is_empty() {
        return Ok(None);
    }
    let (mut left, mut replaced, mut group) = (Vec::new(), false, None::<Group>);
    let mut tip = segment.start().tip;
    let mut lines = segment.lines(segment.start().at);
    while tip.head.seq < until.seq {
        let chunk = lines.next().map_err(failed("reading a journal"))?;
        let chunk = chunk.ok_or_else(|| segment::damage(agent, number, segment.end(), None))?;
        let line = tip.follow(&chunk);
        let line = line.map_err(|broken| segment::damage(agent, number, chunk.at, Some(broken)))?;
        let touched = runs.front().is_some_and(|run| run.from <= line.head.seq);
        if touched || group.is_some() {
            group.get_or_insert_with(|| Group::at(tip)).add(agent, number, &chunk, &line)?;
        } else {
            copy(&mut left, &chunk);
        }
        let goes_on = || runs.iter().any(|run| run.from <= line.head.seq && line.head.seq < run.entry.seq);
        if let Some(whole) = group.take_if(|_| !goes_on()) {
            replaced |= whole.close(&mut runs, &mut left);
        }
        tip = Tip::behind(&line);
    }
    Ok(replaced.then_some(left))
}

fn copy(to: &mut Vec<u8>, chunk: &Chunk<'_>) {
    to.extend_from_slice(chunk.bytes);
    to.push(b'\n');
}

impl Group {
    fn at(before: Tip) -> Self {
        let (head, anchor) = (before.head, before.crc);
        Self { before, synced: Seq::ZERO, head, anchor, items: Vec::new(), bytes: Vec::new() }
    }

    fn add(&mut self, agent: &AgentId, number: u32, chunk: &Chunk<'_>, line: &Line<'_>) -> StoreResult<()> {
        let Ok(items) = items(line) else {
            let place = format!("{agent}/{}, byte {}", segment::file_name(number), chunk.at);
            return Err(incompatible(&place, "the line is whole, but its entries are of a later version"));
        };
        self.items.extend(items);
        copy(&mut self.bytes, chunk);
        self.synced = self.synced.max(line.synced);
        (self.head, self.anchor) = (line.head, line.link());
        Ok(())
    }

    /// Writes what is left of the group, and whether that is less than there was.
    fn close(mut self, runs: &mut VecDeque<&Elision>, left: &mut Vec<u8>) -> bool {
        let mut replaced = false;
        while let Some(run) = runs.pop_front_if(|run| run.entry.seq <= self.head.seq) {
            replaced |= self.replace(run);
        }
        let bytes = if replaced { self.line() } else { self.bytes };
        left.extend_from_slice(&bytes);
        replaced
    }

    /// A run that does not begin and end with entries that are here stays.
    fn replace(&mut self, run: &Elision) -> bool {
        let first = self.items.iter().position(|item| item.from == run.from);
        let last = self.items.iter().position(|item| item.seq == run.entry.seq);
        let (Some(first), Some(last)) = (first, last) else { return false };
        let json = to_raw_value(&run.entry).expect("entries have string keys and no failing serializer");
        self.items.splice(first..=last, [Item { from: run.from, seq: run.entry.seq, json }]);
        true
    }

    fn line(&self) -> Vec<u8> {
        let ranges = self.items.iter().filter(|item| item.from < item.seq).map(|item| (item.from, item.seq));
        let ranges: Vec<_> = ranges.collect();
        let entries: Vec<_> = self.items.iter().map(|item| &item.json).collect();
        let entries = to_raw_value(&entries).expect("raw JSON is written as it is");
        line::write_elided(self.before.crc, self.synced, self.head, self.anchor, &ranges, &entries)
    }
}

/// The entries of a line, as they are written: members that this version does not know stay.
fn items(line: &Line<'_>) -> serde_json::Result<Vec<Item>> {
    #[derive(Deserialize)]
    struct Place {
        seq: Seq,
    }
    let entries: Vec<Box<RawValue>> = serde_json::from_slice(line.entries)?;
    let item = |json: Box<RawValue>| {
        let Place { seq } = serde_json::from_str(json.get())?;
        let range = line.elided.iter().find(|(_, to)| *to == seq);
        Ok(Item { from: range.map_or(seq, |(from, _)| *from), seq, json })
    };
    entries.into_iter().map(item).collect()
}
