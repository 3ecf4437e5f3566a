//! Repair and migration: what is good stays, what is damaged is kept aside, whatever comes between.

use kode_core::fact::Entry;
use kode_core::id::{AgentId, Seq};
use kode_core::store::{Leases, StoreError};
use kode_testkit::rounds::rounds;
use kode_testkit::store_suite::pen::{Pen, all, step};
use kode_testkit::store_suite::run;

use super::Dice;
use super::mutations::{Sample, mutate};
use super::power::open;
use super::sim::SimDisk;
use crate::FsStore;
use crate::disk::{Access, Disk, content};
use crate::line::{FORMAT, read_header, write_header};

/// A disk with a store in which one agent has these segments.
fn disk_with(agent: &AgentId, segments: &[Vec<u8>]) -> SimDisk {
    let disk = SimDisk::new();
    drop(open(&disk));
    disk.make_dir(agent.as_str()).unwrap();
    for (number, bytes) in (1..).zip(segments) {
        let file = disk.open(&format!("{agent}/journal-{number}.jsonl"), Access::Make).unwrap();
        file.write_at(bytes, 0).unwrap();
        file.sync().unwrap();
    }
    disk.sync_dir(agent.as_str()).unwrap();
    disk.sync_dir("").unwrap();
    disk
}

/// Whole, what is left is the beginning of what was written, and it goes on above.
async fn assert_mended(store: &FsStore, sample: &Sample, seed: u64) -> Vec<Entry> {
    let left = all(store, &sample.agent).await;
    assert_eq!(left, sample.entries[..left.len()], "seed {seed}");
    let mut pen = Pen::take(store, &sample.agent).await;
    assert!(left.last().is_none_or(|last| pen.epoch() > last.epoch), "seed {seed}");
    pen.write(store, vec![step(1)]).await;
    store.release(pen.lease, true).await.unwrap();
    store.check(&sample.agent).await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    left
}

#[test]
fn g7_a_repair_keeps_all_that_is_good_and_every_damaged_file() {
    run(async {
        let sample = Sample::elided(14);
        let (mut repaired, mut partly) = (0, 0);
        for seed in 0..rounds("repairs of changed journals", 200, 20_000) {
            let (mut dice, mut changed) = (Dice::new(seed), sample.segments.clone());
            mutate(&mut changed, &mut dice);
            let disk = disk_with(&sample.agent, &changed);
            let store = open(&disk);
            let planned = store.repair(&sample.agent, true).await.unwrap();
            let done = store.repair(&sample.agent, false).await.unwrap();
            assert_eq!(planned, done, "seed {seed}");
            if let Some(repair) = &done {
                repaired += 1;
                for (number, bytes) in (1..).zip(&changed) {
                    let aside = format!("{}/journal-{number}.jsonl", repair.quarantine);
                    let kept = content(&*disk.open(&aside, Access::Read).unwrap()).unwrap();
                    assert_eq!(&kept, bytes, "seed {seed}");
                }
            }
            let left = assert_mended(&store, &sample, seed).await;
            if let Some(repair) = done {
                assert_eq!(left.last().map(|e| e.seq).unwrap_or_default(), repair.kept, "seed {seed}");
                partly += u64::from(repair.kept > Seq::ZERO);
            }
        }
        assert!(repaired > partly && partly > 20, "{repaired} repaired, {partly} of them in part");
    });
}

#[test]
fn g7_a_repair_that_is_cut_off_can_be_done_again() {
    run(async {
        let sample = Sample::elided(14);
        let mut damaged = sample.segments.clone();
        let middle = damaged[0].len() / 2;
        damaged[0][middle] ^= 1;
        for died_after in 0.. {
            let disk = disk_with(&sample.agent, &damaged);
            let store = open(&disk);
            disk.die_after(died_after);
            let done = store.repair(&sample.agent, false).await.is_ok();
            drop(store);
            disk.lose_power(&mut Dice::new(died_after as u64));
            let store = open(&disk);
            store.repair(&sample.agent, false).await.unwrap();
            let left = assert_mended(&store, &sample, died_after as u64).await;
            assert!(!left.is_empty());
            if done {
                assert!(died_after > 10);
                return;
            }
        }
    });
}

#[test]
fn a_repair_or_a_migration_waits_until_nobody_writes() {
    run(async {
        let sample = Sample::new(6);
        let mut old = sample.segments.clone();
        old.iter_mut().for_each(|segment| set_format(segment, 1));
        let store = open(&disk_with(&sample.agent, &old));
        let pen = Pen::take(&store, &sample.agent).await;
        let refused = store.migrate(&sample.agent, false).await;
        assert_eq!(refused, Err(StoreError::Unavailable("the agent is in use".into())));
        store.release(pen.lease, true).await.unwrap();
        assert_eq!(store.migrate(&sample.agent, false).await, Ok(2));
    });
}

/// Writes another format into a segment's header.
fn set_format(segment: &mut Vec<u8>, format: u32) {
    let end = segment.iter().position(|byte| *byte == b'\n').unwrap();
    let mut header = read_header(&segment[..end]).unwrap();
    header.format = format;
    segment.splice(..=end, write_header(&header));
}

#[test]
fn g12_a_journal_of_format_1_is_read_goes_on_and_is_migrated() {
    run(async {
        let sample = Sample::new(14);
        let mut old = sample.segments.clone();
        old.iter_mut().for_each(|segment| set_format(segment, 1));
        let disk = disk_with(&sample.agent, &old);
        let store = open(&disk);
        assert_eq!(all(&store, &sample.agent).await, sample.entries);
        assert_eq!(store.migrate(&sample.agent, true).await, Ok(2));
        assert_eq!(store.check(&sample.agent).await.unwrap().unwrap().format, 1);
        assert_mended(&store, &sample, 1).await;
        let entries = all(&store, &sample.agent).await;
        assert_eq!(store.migrate(&sample.agent, false).await, Ok(2));
        assert_eq!(store.check(&sample.agent).await.unwrap().unwrap().format, FORMAT);
        assert_eq!(store.migrate(&sample.agent, false).await, Ok(0));
        assert_eq!(all(&store, &sample.agent).await, entries);
    });
}
