//! What survives: power cuts, failed syncs, deaths at every operation, full disks. And that these tests would
//! notice if nothing were synced.

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kode_core::fact::{Entry, Fact};
use kode_core::id::{AgentId, Seq};
use kode_core::store::{After, Catalog, Durability, Head, Leases, StoreError, StoreResult};
use kode_testkit::rounds::rounds;
use kode_testkit::store_suite::pen::{HOLDER, NOW, Pen, TTL, all, chunk, id, step};
use kode_testkit::store_suite::{Bench, run};

use super::Dice;
use super::sim::SimDisk;
use crate::FsStore;
use crate::commit::{Commit, Nowhere, Trust};
use crate::disk::{Access, Disk};
use crate::log::NodeLog;
use crate::store::{Ahead, Store};
use crate::writer::Batch;

/// The node log with small files, which are retired when the test says so and not in the background.
struct ByHand(NodeLog);

impl Commit for ByHand {
    fn note(&self, agent: &AgentId, line: &[u8]) {
        self.0.note(agent, line);
    }

    fn is_behind(&self) -> bool {
        self.0.is_behind()
    }

    fn commit(&self) -> io::Result<()> {
        self.0.commit()
    }

    fn wants_retiring(&self) -> bool {
        false
    }

    fn retire(&self, settle: &dyn Fn(&AgentId, Trust) -> io::Result<()>) -> io::Result<()> {
        self.0.retire(settle)
    }
}

/// How appends become durable in a test.
pub(super) type Making = fn(Arc<dyn Disk>) -> StoreResult<Arc<dyn Commit>>;

pub(super) fn small_log(disk: Arc<dyn Disk>) -> StoreResult<Arc<dyn Commit>> {
    Ok(Arc::new(ByHand(NodeLog::open_with(disk, 3 << 10)?)))
}

/// What syncs nothing: the sabotage that must be noticed.
pub(super) fn no_sync(_: Arc<dyn Disk>) -> StoreResult<Arc<dyn Commit>> {
    Ok(Arc::new(Nowhere))
}

pub(super) fn open(disk: &SimDisk) -> FsStore {
    FsStore::over(Store::open_with(Arc::new(disk.clone()), small_log).unwrap())
}

struct Simulated {
    disk: SimDisk,
    dice: Mutex<Dice>,
}

impl Simulated {
    fn new() -> Self {
        Self { disk: SimDisk::new(), dice: Mutex::new(Dice::new(1)) }
    }
}

#[async_trait]
impl Bench for Simulated {
    type Store = FsStore;

    async fn open(&self) -> FsStore {
        open(&self.disk)
    }

    async fn power_cut(&self) -> bool {
        self.disk.lose_power(&mut self.dice.lock().unwrap());
        true
    }
}

mod conformance {
    use super::*;

    kode_testkit::store_suite!(Simulated::new());
}

/// Appends a batch where it belongs, as one step or, `ahead`, as the steps that a writer takes who does not block.
pub(super) fn put(
    store: &Store,
    pen: &mut Pen,
    facts: Vec<Fact>,
    grade: Durability,
    ahead: bool,
) -> Vec<Entry> {
    let entries = pen.entries(facts.into_iter().map(|fact| (fact, 1)));
    let (end, batch) = (pen.head.seq, Batch::of(&entries, pen.head.seq, pen.epoch()));
    let tried = if ahead { store.try_append(&pen.lease, end, batch, grade) } else { Err(batch) };
    let done = match tried {
        Ok(Ok(Ahead::Written(end))) => store.committed(&pen.lease, end, store.commit()),
        Ok(done) => done.map(drop),
        Err(batch) => store.append(&pen.lease, end, batch, grade),
    };
    done.expect("the append is in order");
    let last = entries.last().expect("a batch has an entry");
    pen.head = Head { seq: last.seq, epoch: last.epoch, cursor: last.last_cursor() };
    entries
}

/// Some appends of both grades; tells all entries, and how many of them are known to be synced.
fn write_some(store: &Store, pen: &mut Pen, dice: &mut Dice, written: &mut Vec<Entry>) -> usize {
    let mut synced = 0;
    for _ in 0..1 + dice.roll(8) {
        if dice.roll(12) == 0 {
            store.retire(&AtomicBool::new(false));
        }
        let ahead = dice.roll(2) == 0;
        if dice.roll(3) > 0 {
            let facts = vec![chunk(&"x".repeat(dice.roll(700)), 1)];
            written.extend(put(store, pen, facts, Durability::Buffered, ahead));
        } else {
            written.extend(put(store, pen, vec![step(1); 1 + dice.roll(3)], Durability::Synced, ahead));
            synced = written.len();
        }
    }
    synced
}

/// How often the power is cut in one life of a disk.
const CUTS: u64 = 4;

/// Writes and loses power, again and again; tells the first thing that was lost though it was synced.
fn survive(seed: u64, commit: Making) -> Result<(), String> {
    let (mut dice, agent, disk) = (Dice::new(seed), id("a"), SimDisk::new());
    let mut written: Vec<Entry> = Vec::new();
    let mut known = 0;
    let mut last_epoch = None;
    for round in 0..CUTS {
        let wrong = |why: String| format!("seed {seed}, round {round}: {why}");
        let store = Store::open_with(Arc::new(disk.clone()), commit).unwrap();
        let taken = store.acquire(&agent, HOLDER, TTL, NOW);
        let lease = taken.map_err(|error| wrong(error.to_string()))?;
        let mut pen = Pen { lease, head: store.head(&agent).unwrap().unwrap_or_default() };
        let left = store.read(&agent, After::Seq(Seq::ZERO), usize::MAX).unwrap();
        if left.len() < known || left != written[..left.len()] {
            return Err(wrong(format!("{} of {known} are left", left.len())));
        }
        if last_epoch.is_some_and(|last| last >= pen.epoch()) {
            return Err(wrong(format!("epoch {} came again", pen.epoch())));
        }
        written.truncate(left.len());
        known = known.max(write_some(&store, &mut pen, &mut dice, &mut written));
        last_epoch = written.last().map(|entry| entry.epoch).filter(|_| known == written.len());
        drop(store);
        // Every now and then only the process dies: what it had not synced is there still, and must be when more follows.
        if dice.roll(4) == 0 { disk.revive() } else { disk.lose_power(&mut dice) }
    }
    Ok(())
}

#[test]
fn g1_synced_entries_survive_power_cuts_in_any_order_of_sectors() {
    for seed in 0..rounds("power cuts of a simulated disk", 60_000, 2_000_000) / CUTS {
        assert_eq!(survive(seed, small_log), Ok(()));
    }
}

#[test]
fn a_store_that_does_not_sync_is_found_out() {
    let disks = rounds("simulated disks that are not synced", 150, 1_500);
    let found = (0..disks).filter(|seed| survive(*seed, no_sync).is_err()).count() as u64;
    assert!(found > disks / 2, "only {found} of {disks} were found out");
}

#[test]
fn a_store_that_does_not_sync_names_is_found_out() {
    run(async {
        let lost = async |seed| {
            let disk = SimDisk::new();
            disk.forget_names();
            let store = open(&disk);
            Pen::take(&store, &id("a")).await.write_steps(&store, 1).await;
            drop(store);
            disk.lose_power(&mut Dice::new(seed));
            all(&open(&disk), &id("a")).await.is_empty()
        };
        let mut found = 0;
        for seed in 0..20 {
            found += u32::from(lost(seed).await);
        }
        assert!(found > 0, "no power cut took a name that was not synced");
    });
}

#[test]
fn g1_after_a_failed_sync_the_tail_goes_to_a_new_segment() {
    run(async {
        let (disk, agent) = (SimDisk::new(), id("a"));
        let store = open(&disk);
        let mut pen = Pen::take(&store, &agent).await;
        let mut written = pen.write_steps(&store, 2).await;
        written.extend(pen.write_chunk(&store, "buffered", 3).await);
        let told = all(&store, &agent).await;
        let batch = pen.entries([(step(3), 1)]);
        disk.fail_next_sync();
        let failed = pen.try_write(&store, &batch, Durability::Synced).await;
        assert!(matches!(failed, Err(StoreError::Unavailable(_))), "{failed:?}");
        // Nothing more under this lease, and nobody is told of the batch whose outcome is unknown.
        let refused = pen.try_write(&store, &batch, Durability::Synced).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        assert_eq!(all(&store, &agent).await, told);
        // The new lease has the whole tail, and it is on the disk before anything follows.
        let pen = Pen::take(&store, &agent).await;
        written.extend(batch);
        assert_eq!((all(&store, &agent).await, pen.head.seq), (written.clone(), Seq(4)));
        assert!(disk.open("a/journal-2.jsonl", Access::Read).is_ok());
        drop(store);
        disk.lose_power(&mut Dice::new(1));
        let store = open(&disk);
        let mut pen = Pen::take(&store, &agent).await;
        written.extend(pen.write_steps(&store, 2).await);
        assert_eq!(all(&store, &agent).await, written);
    });
}

#[test]
fn g1_a_failed_sync_is_remembered_when_the_lease_is_given_back() {
    run(async {
        let (disk, agent) = (SimDisk::new(), id("a"));
        let store = open(&disk);
        let mut pen = Pen::take(&store, &agent).await;
        pen.write_steps(&store, 1).await;
        let batch = pen.entries([(step(2), 1)]);
        disk.fail_next_sync();
        assert!(pen.try_write(&store, &batch, Durability::Synced).await.is_err());
        store.release(pen.lease, false).await.unwrap();
        let mut pen = Pen::take(&store, &agent).await;
        pen.write_steps(&store, 1).await;
        drop(store);
        disk.lose_power(&mut Dice::new(1));
        assert_eq!(all(&open(&disk), &agent).await.len(), 3);
    });
}

/// The kernel shows the tail although it is not on the disk, and nobody is left who knows.
#[test]
fn g1_a_failed_sync_that_the_process_did_not_outlive_is_made_good() {
    run(async {
        let (disk, agent) = (SimDisk::new(), id("a"));
        let store = open(&disk);
        let mut pen = Pen::take(&store, &agent).await;
        pen.write_steps(&store, 1).await;
        let batch = pen.entries([(step(2), 1)]);
        disk.fail_next_sync();
        assert!(pen.try_write(&store, &batch, Durability::Synced).await.is_err());
        drop(store);
        disk.revive();
        let store = open(&disk);
        let mut pen = Pen::take(&store, &agent).await;
        assert_eq!(pen.head.seq, Seq(2));
        pen.write_steps(&store, 1).await;
        drop(store);
        disk.lose_power(&mut Dice::new(1));
        assert_eq!(all(&open(&disk), &agent).await.len(), 3);
    });
}

#[test]
fn g7_a_torn_tail_is_off_the_disk_before_the_lease_is_granted() {
    run(async {
        for seed in 0..20 {
            let (disk, agent) = (SimDisk::new(), id("a"));
            let store = open(&disk);
            Pen::take(&store, &agent).await.write_steps(&store, 2).await;
            drop(store);
            let journal = disk.open("a/journal-1.jsonl", Access::Write).unwrap();
            let whole = journal.len().unwrap();
            journal.write_at(&[b'x'; 3_000], whole).unwrap();
            journal.sync().unwrap();
            let store = open(&disk);
            Pen::take(&store, &agent).await;
            drop(store);
            disk.lose_power(&mut Dice::new(seed));
            assert_eq!(journal.len().unwrap(), whole);
        }
    });
}

#[test]
fn g4_the_first_append_of_an_epoch_survives_whatever_its_grade() {
    run(async {
        for seed in 0..20 {
            let (disk, agent) = (SimDisk::new(), id("a"));
            let store = open(&disk);
            for text in ["first", "second", "third"] {
                Pen::take(&store, &agent).await.write_chunk(&store, text, 1).await;
            }
            drop(store);
            disk.lose_power(&mut Dice::new(seed));
            let store = open(&disk);
            assert_eq!(all(&store, &agent).await.len(), 3);
            // And the mark that says that there is something to go on with.
            assert_eq!(store.unfinished().await, Ok(vec![agent]));
        }
    });
}

#[test]
fn a_full_disk_refuses_messages_and_still_reads_and_deletes() {
    run(async {
        let (disk, agent) = (SimDisk::new(), id("a"));
        let store = open(&disk);
        let mut pen = Pen::take(&store, &agent).await;
        let mut written = pen.write_steps(&store, 2).await;
        disk.fill_up(100);
        let batch = pen.entries([(chunk(&"x".repeat(500), 1), 1)]);
        let refused = pen.try_write(&store, &batch, Durability::Synced).await;
        assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
        assert_eq!(all(&store, &agent).await, written);
        assert!(matches!(store.ready().await, Err(StoreError::Full(_))));
        // The torn rest of the append is cut by the next writer, in its place.
        let mut pen = Pen::take(&store, &agent).await;
        assert!(disk.open("a/journal-2.jsonl", Access::Read).is_err());
        disk.fill_up(0);
        let other = Pen::take(&store, &id("b")).await;
        store.delete(other.lease).await.expect("the reserve has room for a tombstone");
        disk.fill_up(1 << 20);
        written.extend(pen.write_steps(&store, 1).await);
        assert_eq!(all(&store, &agent).await, written);
        assert_eq!(store.ready().await, Ok(()));
    });
}

#[test]
fn g10_a_full_disk_gathers_no_files_of_the_log() {
    let disk = SimDisk::new();
    let log = NodeLog::open(Arc::new(disk.clone())).unwrap();
    let files = || {
        let mut files = 0;
        disk.each_name(".log", &mut |_| files += 1).unwrap();
        files
    };
    disk.fill_up(20);
    for _ in 0..50 {
        log.note(&id("a"), b"{}\n");
        assert!(log.commit().is_err());
    }
    // The note of the machine's start, and the one file that could not be begun.
    assert_eq!(files(), 2);
    disk.fill_up(64 << 10);
    assert!(log.commit().is_ok());
    assert_eq!(files(), 2);
}
