//! Changed journals: each change is told as damage, or it cuts whole lines above every watermark. No change
//! makes a panic, and none makes an entry that was not written or puts one out of order.

use std::collections::BTreeSet;

use kode_core::fact::Entry;
use kode_core::id::{AgentId, Cursor, Epoch, Seq};
use kode_core::store::{After, Head, StoreError, StoreResult};
use kode_testkit::rounds::rounds;
use kode_testkit::store_suite::elision::{elided, runs};
use kode_testkit::store_suite::pen::{NOW, chunk, id, step};

use super::Dice;
use crate::elide;
use crate::journal::Journal;
use crate::line::{self, Crc, FORMAT, Header};

/// A journal of two segments as its writer would have left it after a failed sync, with all its entries.
pub(super) struct Sample {
    pub agent: AgentId,
    pub entries: Vec<Entry>,
    pub segments: [Vec<u8>; 2],
}

fn entry(seq: u64) -> Entry {
    let (epoch, events) = (Epoch(7), 1 + (seq % 3) as u32);
    let before = 6 * (seq / 3) as u32 + [0, 1, 3][(seq % 3) as usize];
    let cursor = Cursor::start_of(epoch).plus(before);
    let fact = if seq.is_multiple_of(4) { step(seq as u32) } else { chunk("some text", events) };
    Entry { seq: Seq(seq), epoch, at: NOW, cursor, events, fact }
}

impl Sample {
    /// Lines of one to three entries; every third line was written before the one before it was synced.
    pub(super) fn new(lines: u64) -> Self {
        let agent = id("user:1");
        let (mut entries, mut synced) = (Vec::new(), Seq::ZERO);
        let mut tip = (Head::default(), Crc::of_agent(&agent));
        let mut segments = [Vec::new(), Vec::new()];
        for number in 0..lines {
            let index = usize::from(number >= lines / 2);
            if segments[index].is_empty() {
                let first = Seq(tip.0.seq.0 + 1 + number % 3);
                let (after, prev, segment) = (tip.0, tip.1, index as u32 + 1);
                let header =
                    Header { prev, format: FORMAT, agent: agent.clone(), segment, after, synced: first };
                segments[index] = line::write_header(&header);
                synced = first;
            }
            let batch: Vec<_> = (0..=number % 3).map(|n| entry(tip.0.seq.0 + 1 + n)).collect();
            let last = &batch[batch.len() - 1];
            let head = Head { seq: last.seq, epoch: last.epoch, cursor: last.last_cursor() };
            let (bytes, crc) = line::write(tip.1, synced, head, &line::entries_json(&batch));
            segments[index].extend(bytes);
            (tip, synced) = ((head, crc), if number % 3 == 1 { synced } else { head.seq });
            entries.extend(batch);
            if number % 4 == 3 {
                let (mark, crc) = line::write(tip.1, synced, tip.0, &line::entries_json(&[]));
                segments[index].extend(mark);
                tip.1 = crc;
            }
        }
        Self { agent, entries, segments }
    }

    /// The same after its runs were elided in the first segment.
    pub(super) fn elided(lines: u64) -> Self {
        let mut sample = Self::new(lines);
        let journal = sample.open(&sample.segments).unwrap();
        let (segment, until) = journal.closed().next().unwrap();
        let runs: Vec<_> =
            runs(&sample.entries).into_iter().filter(|run| run.entry.seq <= until.seq).collect();
        let lines = elide::lines(&sample.agent, segment, until, &runs).unwrap().unwrap();
        let header = Header { synced: until.seq, ..segment.header.clone() };
        sample.segments[0] = [line::write_header(&header), lines].concat();
        sample.entries = elided(&sample.entries, &runs);
        sample
    }

    fn open(&self, segments: &[Vec<u8>; 2]) -> StoreResult<Journal<Vec<u8>>> {
        Journal::of(&self.agent, (1..).zip(segments.iter().cloned()).collect())
    }
}

/// The highest watermark in lines that are still there as they were written.
fn watermark(original: &[Vec<u8>; 2], changed: &[Vec<u8>; 2]) -> Seq {
    let split =
        |bytes: &[u8]| bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect::<BTreeSet<_>>();
    let told = |line: &[u8]| match line::read_header(line.trim_ascii_end()) {
        Ok(header) => header.synced,
        Err(_) => line::read(line.trim_ascii_end()).map_or(Seq::ZERO, |line| line.synced),
    };
    let pairs = original.iter().zip(changed);
    let kept = pairs.flat_map(|(a, b)| split(a).intersection(&split(b)).map(|l| told(l)).collect::<Vec<_>>());
    kept.max().unwrap_or_default()
}

/// One random change of bytes or lines.
pub(super) fn mutate(segments: &mut [Vec<u8>; 2], dice: &mut Dice) {
    let index = usize::from(dice.roll(4) > 0);
    let bytes = &mut segments[index];
    match dice.roll(10) {
        0 | 1 => {
            let at = dice.roll(bytes.len());
            bytes[at] ^= 1 << dice.roll(8);
        }
        2 => bytes.truncate(dice.roll(bytes.len())),
        3 => {
            let (from, len) = (dice.roll(bytes.len()), 1 + dice.roll(600));
            bytes.drain(from..(from + len).min(bytes.len()));
        }
        4 => {
            let (from, len) = (dice.roll(bytes.len()), 1 + dice.roll(600));
            let to = (from + len).min(bytes.len());
            bytes[from..to].fill(0);
        }
        5 => {
            let at = dice.roll(bytes.len());
            bytes.insert(at, b"\n\0{}\"a"[dice.roll(6)]);
        }
        _ => mutate_lines(bytes, dice),
    }
}

fn mutate_lines(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let mut lines: Vec<Vec<u8>> = bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    let (a, b) = (dice.roll(lines.len()), dice.roll(lines.len()));
    match dice.roll(4) {
        0 => lines.swap(a, b),
        1 => drop(lines.remove(a)),
        2 => lines.insert(a, lines[b].clone()),
        _ => lines[a] = lines[b].clone(),
    }
    *bytes = lines.concat();
}

/// What a reader, then a writer, then a reader of any page meets.
fn read_all(sample: &Sample, segments: &[Vec<u8>; 2], dice: &mut Dice) -> StoreResult<Vec<Entry>> {
    let journal = sample.open(segments)?;
    let head = journal.survey(Seq::ZERO)?.whole.tip.head.seq;
    let after = match dice.roll(2) {
        0 => After::Seq(Seq(dice.roll(sample.entries.len() + 2) as u64)),
        _ => After::Cursor(Cursor::start_of(Epoch(7)).plus(dice.roll(sample.entries.len() * 3 + 9) as u32)),
    };
    if let Ok(page) = journal.read(after, head, 1 + dice.roll(9)) {
        assert!(sample.entries.windows(page.len().max(1)).any(|w| w == page) || page.is_empty());
    }
    let entries = journal.read(After::Seq(Seq::ZERO), head, usize::MAX)?;
    assert_eq!(entries.last().map(|e| e.seq).unwrap_or_default(), head);
    Ok(entries)
}

#[test]
fn g7_a_changed_journal_is_damaged_or_cut_above_every_watermark() {
    change_it(&Sample::new(14), rounds("mutations of a journal", 3_000, 1_000_000));
}

#[test]
fn g7_a_changed_journal_with_elided_lines_is_damaged_or_cut_above_every_watermark() {
    change_it(&Sample::elided(28), rounds("mutations of an elided journal", 1_500, 500_000));
}

fn change_it(sample: &Sample, rounds: u64) {
    let (mut damaged, mut cut, mut whole) = (0, 0, 0);
    for seed in 0..rounds {
        let mut dice = Dice::new(seed);
        let mut changed = sample.segments.clone();
        for _ in 0..1 + dice.roll(3) {
            mutate(&mut changed, &mut dice);
            changed.iter_mut().for_each(|bytes| bytes.extend(bytes.is_empty().then_some(b'\n')));
        }
        match read_all(sample, &changed, &mut dice) {
            Err(StoreError::Damaged(_)) => damaged += 1,
            Err(other) => panic!("seed {seed}: {other:?}"),
            Ok(left) => {
                assert_eq!(left, sample.entries[..left.len()], "seed {seed}");
                let known = watermark(&sample.segments, &changed);
                let end = left.last().map(|e| e.seq).unwrap_or_default();
                assert!(end >= known, "seed {seed}: up to {end} of {known} is left");
                if left.len() < sample.entries.len() { cut += 1 } else { whole += 1 }
            }
        }
    }
    assert!(damaged > 0 && cut > 0 && whole > 0, "{damaged} damaged, {cut} cut, {whole} whole");
}

#[test]
fn g7_a_journal_cut_at_any_byte_is_whole_lines_or_damage() {
    let sample = Sample::new(6);
    for len in 0..sample.segments[1].len() {
        let changed = [sample.segments[0].clone(), sample.segments[1][..len].to_vec()];
        match read_all(&sample, &changed, &mut Dice::new(len as u64)) {
            Err(StoreError::Damaged(_)) => {}
            Err(other) => panic!("{len}: {other:?}"),
            Ok(left) => assert_eq!(left, sample.entries[..left.len()], "{len}"),
        }
    }
}

/// A long journal, so that places are found by bisecting.
#[test]
fn g4_every_place_in_a_long_journal_is_found() {
    let sample = Sample::new(800);
    let journal = sample.open(&sample.segments).unwrap();
    let head = journal.survey(Seq::ZERO).unwrap().whole.tip.head.seq;
    assert_eq!(head.0, sample.entries.len() as u64);
    for index in (0..sample.entries.len()).step_by(7) {
        let expected = &sample.entries[index + 1..][..3.min(sample.entries.len() - index - 1)];
        let last = &sample.entries[index];
        assert_eq!(journal.read(After::Seq(last.seq), head, 3).unwrap(), expected);
        assert_eq!(journal.read(After::Cursor(last.last_cursor()), head, 3).unwrap(), expected);
    }
}
