//! Appends that are written before anybody waits for the disk: who is told of them, and when.

use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;
use kode_core::fact::Entry;
use kode_core::id::Seq;
use kode_core::store::{After, Durability, Head, Journal, Leases, StoreError};
use kode_testkit::store_suite::pen::{HOLDER, NOW, Pen, TTL, chunk, id, step};

use super::Dice;
use super::sim::SimDisk;
use crate::FsStore;
use crate::store::{Ahead, Store};
use crate::writer::Batch;

fn opened(disk: &SimDisk) -> Store {
    Store::open(Arc::new(disk.clone())).unwrap()
}

/// A lease with one entry, so that the next append is a mere write.
fn begun(store: &Store) -> Pen {
    let lease = store.acquire(&id("a"), HOLDER, TTL, NOW).unwrap();
    let mut pen = Pen { lease, head: Head::default() };
    let entries = next(&mut pen);
    store.append(&pen.lease, Seq(0), Batch::of(&entries, Seq(0), pen.epoch()), Durability::Synced).unwrap();
    pen
}

fn next(pen: &mut Pen) -> Vec<Entry> {
    let entries = pen.entries([(step(1), 1)]);
    let last = entries.last().unwrap();
    pen.head = Head { seq: last.seq, epoch: last.epoch, cursor: last.last_cursor() };
    entries
}

/// Writes one entry ahead; tells where it ends.
fn ahead(store: &Store, pen: &mut Pen) -> Head {
    let (end, entries) = (pen.head.seq, next(pen));
    let batch = Batch::of(&entries, end, pen.epoch());
    match store.try_append(&pen.lease, end, batch, Durability::Synced) {
        Ok(Ok(Ahead::Written(end))) => end,
        _ => panic!("a synced append under way waits for the disk"),
    }
}

fn seen(store: &Store) -> usize {
    store.read(&id("a"), After::Seq(Seq(0)), 100).unwrap().len()
}

#[test]
fn g3_nobody_is_told_of_what_is_written_before_it_is_durable() {
    let disk = SimDisk::new();
    let store = opened(&disk);
    let mut pen = begun(&store);
    let end = ahead(&store, &mut pen);
    assert_eq!((seen(&store), store.head(&id("a")).unwrap().unwrap().seq), (1, Seq(1)));
    store.committed(&pen.lease, end, store.commit()).unwrap();
    assert_eq!(seen(&store), 2);
    drop(store);
    disk.lose_power(&mut Dice::new(1));
    assert_eq!(seen(&opened(&disk)), 2);
}

#[test]
fn g3_a_chunk_behind_what_is_waited_for_is_not_told_before_it() {
    let disk = SimDisk::new();
    let store = opened(&disk);
    let mut pen = begun(&store);
    let end = ahead(&store, &mut pen);
    let piece = pen.entries([(chunk("x", 1), 1)]);
    let batch = Batch::of(&piece, pen.head.seq, pen.epoch());
    let tried = store.try_append(&pen.lease, pen.head.seq, batch, Durability::Buffered);
    assert!(matches!(tried, Ok(Ok(Ahead::Written(_)))), "it waits as well");
    assert_eq!(seen(&store), 1);
    store.committed(&pen.lease, end, store.commit()).unwrap();
    assert_eq!(seen(&store), 2);
}

#[test]
fn g1_after_a_commit_that_failed_nothing_is_told_or_taken_and_the_next_lease_makes_it_good() {
    let disk = SimDisk::new();
    let store = opened(&disk);
    let mut pen = begun(&store);
    let end = ahead(&store, &mut pen);
    disk.fail_next_sync();
    let failed = store.committed(&pen.lease, end, store.commit());
    assert!(matches!(failed, Err(StoreError::Unavailable(_))), "{failed:?}");
    assert_eq!(seen(&store), 1);
    let (end, entries) = (pen.head.seq, next(&mut pen));
    let refused = store.append(&pen.lease, end, Batch::of(&entries, end, pen.epoch()), Durability::Synced);
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    store.acquire(&id("a"), HOLDER, TTL, NOW).unwrap();
    assert_eq!(seen(&store), 2);
    drop(store);
    disk.lose_power(&mut Dice::new(2));
    assert_eq!(seen(&opened(&disk)), 2);
}

/// The first entry of an agent makes its files, on a thread that does not wait for the log.
#[test]
fn g3_nobody_is_told_of_a_first_entry_before_it_is_durable() {
    let disk = SimDisk::new();
    let store = opened(&disk);
    let lease = store.acquire(&id("a"), HOLDER, TTL, NOW).unwrap();
    let mut pen = Pen { lease, head: Head::default() };
    let entries = next(&mut pen);
    let batch = Batch::of(&entries, Seq(0), pen.epoch());
    assert!(store.begins(&pen.lease, &batch));
    let written = store.append_ahead(&pen.lease, Seq(0), batch, Durability::Buffered).unwrap();
    let Ahead::Written(end) = written else {
        panic!("a first append waits for the disk, whatever is asked for")
    };
    assert_eq!(seen(&store), 0);
    store.committed(&pen.lease, end, store.commit()).unwrap();
    assert_eq!(seen(&store), 1);
    let more = Batch::of(&next(&mut pen), Seq(1), pen.epoch());
    assert!(!store.begins(&pen.lease, &more), "that was the first");
    drop(store);
    disk.lose_power(&mut Dice::new(3));
    assert_eq!(seen(&opened(&disk)), 1);
}

/// Who asked for the first append goes away: it is made, and told, all the same.
#[tokio::test]
async fn g1_a_first_append_that_nobody_waits_for_runs_to_its_end() {
    let store = FsStore::over(opened(&SimDisk::new()));
    let lease = store.acquire(&id("a"), HOLDER, TTL, NOW).await.unwrap();
    let mut pen = Pen { lease, head: Head::default() };
    let entries = next(&mut pen);
    {
        let mut append = pin!(store.append(&pen.lease, Seq(0), &entries, Durability::Synced));
        assert!(append.as_mut().now_or_never().is_none(), "it is under way");
    }
    while store.head(&id("a")).await.unwrap().is_none_or(|head| head.seq < Seq(1)) {
        tokio::task::yield_now().await;
    }
    let (end, entries) = (pen.head.seq, next(&mut pen));
    store.append(&pen.lease, end, &entries, Durability::Synced).await.unwrap();
}

/// The writer was dropped in mid-append, and the agent is taken up again before the disk was waited for.
#[test]
fn g5_a_lease_that_ends_before_its_append_is_durable_leaves_it_so() {
    for seed in 0..20 {
        let disk = SimDisk::new();
        let store = opened(&disk);
        let mut pen = begun(&store);
        let end = ahead(&store, &mut pen);
        store.acquire(&id("a"), HOLDER, TTL, NOW).unwrap();
        assert_eq!(seen(&store), 2, "the new writer tells all that is there");
        // Late word of the old one's changes nothing.
        assert_eq!(store.committed(&pen.lease, end, Ok(())), Ok(()));
        drop(store);
        disk.lose_power(&mut Dice::new(seed));
        assert_eq!(seen(&opened(&disk)), 2, "seed {seed}: and that is durable");
    }
}
