//! An agent's life, cut off or disturbed at every operation of the disk: messages, checkpoints, elision,
//! deletion. What was acknowledged is there, or all of it is gone if that was asked for.

use std::sync::atomic::AtomicBool;

use kode_core::fact::Entry;
use kode_core::id::Seq;
use kode_core::store::{After, Catalog, Checkpoints, Durability, Journal, Leases, StoreResult};
use kode_testkit::store_suite::checkpoints::checkpoint;
use kode_testkit::store_suite::elision::runs;
use kode_testkit::store_suite::pen::{HOLDER, Pen, all, chunk, id, step};
use kode_testkit::store_suite::run;

use super::Dice;
use super::power::open;
use super::sim::{Fault, SimDisk};
use crate::FsStore;

/// What a life of an agent was told to be done.
#[derive(Default)]
struct Told {
    written: Vec<Entry>,
    /// How many entries were acknowledged as synced.
    synced: usize,
    /// Whether a deletion was begun, and whether it was acknowledged.
    deleting: bool,
    deleted: bool,
}

impl Told {
    /// How many of the written entries are left, as they were or by what stands for them.
    fn left(&self, left: &[Entry]) -> Option<usize> {
        let runs = runs(&self.written);
        left.iter().try_fold(0, |at, entry| {
            let next = self.written.get(at)?;
            let run = runs.iter().find(|run| run.entry == *entry && run.from == next.seq);
            let stands_for = run.map(|run| (run.entry.seq.0 - run.from.0 + 1) as usize);
            stands_for.or((next == entry).then_some(1)).map(|entries| at + entries)
        })
    }

    /// Goes on from what is there, after an append of which the outcome was not known.
    fn settle(&mut self, there: &[Entry]) {
        let left = self.left(there).expect("what is there was written");
        assert!(left >= self.synced, "{left} are left of {}", self.synced);
        self.written.truncate(left);
    }
}

/// One residency; ends at the first error.
async fn reside(store: &FsStore, told: &mut Told) -> StoreResult<()> {
    let agent = id("a");
    let lease = store.acquire(&agent, HOLDER, 1_000, 0).await?;
    let head = store.head(&agent).await?.unwrap_or_default();
    told.settle(&store.read(&agent, After::Seq(Seq::ZERO), usize::MAX).await?);
    let mut pen = Pen { lease, head };
    write(store, &mut pen, told, &[true, false, false, false, true]).await?;
    store.save_checkpoint(&pen.lease, &checkpoint(pen.head.seq.0, "x")).await?;
    store.store.retire(&AtomicBool::new(false));
    store.elide(&pen.lease, &runs(&told.written)).await?;
    write(store, &mut pen, told, &[true, false]).await?;
    store.store.retire(&AtomicBool::new(false));
    store.release(pen.lease, true).await
}

/// Appends of one entry each: synced steps and buffered pieces.
async fn write(store: &FsStore, pen: &mut Pen, told: &mut Told, synced: &[bool]) -> StoreResult<()> {
    for synced in synced {
        let (fact, events, grade) = match synced {
            true => (step(1), 1, Durability::Synced),
            false => (chunk("some text", 3), 3, Durability::Buffered),
        };
        let batch = pen.entries([(fact, events)]);
        told.written.extend(batch.clone());
        pen.try_write(store, &batch, grade).await?;
        if *synced {
            told.synced = told.written.len();
        }
    }
    Ok(())
}

/// A whole life; ends at the first error.
async fn live(store: &FsStore, told: &mut Told) -> StoreResult<()> {
    for _ in 0..2 {
        reside(store, told).await?;
    }
    let lease = store.acquire(&id("a"), HOLDER, 1_000, 0).await?;
    told.deleting = true;
    store.delete(lease).await?;
    told.deleted = true;
    Ok(())
}

async fn assert_kept(store: &FsStore, told: &Told, after: &str) {
    let pen = Pen::take(store, &id("a")).await;
    let left = all(store, &id("a")).await;
    assert_eq!(pen.head.seq, left.last().map(|e| e.seq).unwrap_or_default());
    let kept = told.left(&left).is_some_and(|left| left >= told.synced);
    let gone = told.deleting && left.is_empty();
    assert!(if told.deleted { gone } else { kept || gone }, "after {after}: {} are left", left.len());
    let loaded = store.load_checkpoint(&id("a")).await.unwrap();
    assert!(loaded.is_none_or(|checkpoint| checkpoint.seq <= pen.head.seq));
    if !left.is_empty() {
        store.check(&id("a")).await.unwrap_or_else(|error| panic!("after {after}: {error}"));
    }
}

#[test]
fn g1_g7_a_death_at_any_operation_loses_nothing_acknowledged() {
    run(async {
        let mut died_after = 0;
        loop {
            for power in [false, true] {
                let disk = SimDisk::new();
                let store = open(&disk);
                disk.die_after(died_after);
                let mut told = Told::default();
                let lived = live(&store, &mut told).await;
                drop(store);
                if power {
                    disk.lose_power(&mut Dice::new(died_after as u64))
                } else {
                    disk.revive()
                }
                assert_kept(&open(&disk), &told, &format!("{died_after} operations")).await;
                if lived.is_ok() {
                    assert!(died_after > 80 && disk.operations() > 80);
                    return;
                }
            }
            died_after += 1;
        }
    });
}

/// The process lives on, takes a new lease and goes on writing; then the power is gone.
async fn disturb(after: usize, fault: Fault) -> bool {
    let disk = SimDisk::new();
    let store = open(&disk);
    disk.fail_after(after, fault);
    let mut told = Told::default();
    let mut failures = 0;
    for _ in 0..4 {
        failures += usize::from(reside(&store, &mut told).await.is_err());
    }
    if disk.is_to_fail() {
        assert_eq!(failures, 0);
        return false;
    }
    assert!(failures <= 1, "one fault is met once: {fault:?} after {after}");
    assert_kept(&store, &told, &format!("{fault:?} at {after}")).await;
    drop(store);
    disk.lose_power(&mut Dice::new(after as u64));
    assert_kept(&open(&disk), &told, &format!("{fault:?} at {after} and a power cut")).await;
    true
}

#[test]
fn g1_an_error_or_a_short_write_at_any_operation_loses_nothing_acknowledged() {
    run(async {
        for fault in [Fault::Change, Fault::Short, Fault::Read] {
            let mut after = 0;
            while disturb(after, fault).await {
                after += 1;
            }
            assert!(after > 80, "only {after} operations of {fault:?}");
        }
    });
}
