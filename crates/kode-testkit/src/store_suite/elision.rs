//! Cases: runs of entries of which one is left, and what readers of any place then meet.

use kode_core::elide::Eliding;
use kode_core::fact::{ChunkPart, Entry, Fact};
use kode_core::id::{AgentId, Cursor, Seq};
use kode_core::machine::project;
use kode_core::store::{
    After, Catalog, Checkpoints, Durability, Elision, Journal, Store, StoreError, StoreResult,
};

use super::Bench;
use super::checkpoints::checkpoint;
use super::pen::{Pen, all, id, step};

/// The runs that a runtime would find.
#[must_use]
pub fn runs(entries: &[Entry]) -> Vec<Elision> {
    let mut eliding = Eliding::default();
    entries.iter().for_each(|entry| eliding.take(entry));
    eliding.runs()
}

/// The entries with these runs replaced.
#[must_use]
pub fn elided(entries: &[Entry], runs: &[Elision]) -> Vec<Entry> {
    let within = |entry: &Entry| runs.iter().any(|run| run.from <= entry.seq && entry.seq <= run.entry.seq);
    let mut left: Vec<Entry> = entries.iter().filter(|entry| !within(entry)).cloned().collect();
    left.extend(runs.iter().map(|run| run.entry.clone()));
    left.sort_by_key(|entry| entry.seq);
    left
}

/// Saves a checkpoint of everything and has all runs replaced; tells what is left.
async fn elide_all(store: &impl Store, pen: &Pen) -> Vec<Entry> {
    let entries = all(store, &pen.lease.agent).await;
    let runs = runs(&entries);
    save(store, pen, pen.head.seq.0).await;
    store.elide(&pen.lease, &runs).await.expect("what a checkpoint covers can be elided");
    elided(&entries, &runs)
}

async fn save(store: &impl Store, pen: &Pen, seq: u64) {
    store.save_checkpoint(&pen.lease, &checkpoint(seq, "x")).await.expect("a checkpoint can be saved");
}

/// The pieces of one streamed answer.
fn pieces(number: u32) -> Vec<Vec<ChunkPart>> {
    let text = |n: u32| ChunkPart::Text(format!("{number} {n} {}", "x".repeat(n as usize * 7)));
    vec![
        vec![ChunkPart::ThinkStart, ChunkPart::Think("hm".into())],
        vec![ChunkPart::Think("so".into()), ChunkPart::ThinkEnd, ChunkPart::TextStart, text(1)],
        vec![text(2), text(3), text(4)],
        vec![text(5)],
    ]
}

fn piece(number: u32, parts: Vec<ChunkPart>) -> (Fact, u32) {
    let events = u32::try_from(parts.len()).expect("there are few");
    (Fact::ModelChunk { step: number, attempt: 1, parts }, events)
}

/// A start, pieces by one batch each, and an end.
async fn answer(store: &impl Store, pen: &mut Pen, number: u32) {
    pen.write(store, vec![step(number)]).await;
    for parts in pieces(number) {
        let batch = pen.entries([piece(number, parts)]);
        pen.try_write(store, &batch, Durability::Buffered).await.expect("the append is in order");
    }
    pen.write(store, vec![step(number)]).await;
}

async fn read(store: &impl Store, agent: &AgentId, after: After, limit: usize) -> Vec<Entry> {
    store.read(agent, after, limit).await.expect("the journal can be read")
}

/// And the journal goes on as if nothing had been, also when it is opened again.
pub async fn of_a_run_one_entry_is_left_and_the_rest_stays<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    for number in 0..3 {
        answer(&store, &mut pen, number).await;
    }
    let head = store.head(&agent).await;
    let mut left = elide_all(&store, &pen).await;
    assert_eq!((left.len(), all(&store, &agent).await), (9, left.clone()));
    assert_eq!(store.head(&agent).await, head);
    assert!(store.load_checkpoint(&agent).await.expect("it can be loaded").is_some());
    left.extend(pen.write_steps(&store, 2).await);
    drop(store);
    let store = bench.open().await;
    assert_eq!(all(&store, &agent).await, left);
    left.extend(Pen::take(&store, &agent).await.write_steps(&store, 1).await);
    assert_eq!(all(&store, &agent).await, left);
}

/// Every seq and every cursor is still a place, and pages of any size join.
pub async fn g4_readers_of_any_place_meet_what_is_left<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    for number in 0..2 {
        answer(&store, &mut pen, number).await;
    }
    let before = all(&store, &agent).await;
    let left = elide_all(&store, &pen).await;
    for limit in [1, 2, 100] {
        for seq in 0..=pen.head.seq.0 {
            let behind: Vec<_> = left.iter().filter(|e| e.seq.0 > seq).take(limit).cloned().collect();
            assert_eq!(read(&store, &agent, After::Seq(Seq(seq)), limit).await, behind, "after seq {seq}");
        }
        for cursor in before.iter().flat_map(|e| e.cursor.0 - 1..=e.last_cursor().0).map(Cursor) {
            let behind: Vec<_> = left.iter().filter(|e| e.last_cursor() > cursor).collect();
            let page = read(&store, &agent, After::Cursor(cursor), limit).await;
            assert_eq!(page.iter().collect::<Vec<_>>(), behind[..limit.min(behind.len())], "after {cursor}");
        }
    }
    // What is still told is told as it was.
    let told = |entries: &[Entry]| entries.iter().flat_map(project).collect::<Vec<_>>();
    let (before, left) = (told(&before), told(&left));
    assert!(left.len() < before.len() && left.iter().all(|envelope| before.contains(envelope)));
}

/// The first pieces come with the start of the call, the last ones with its end and the next start.
pub async fn runs_that_share_batches_with_other_entries_are_replaced<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    let mut facts = vec![(step(0), 1)];
    for number in 0..6 {
        for (nth, parts) in pieces(number).into_iter().enumerate() {
            facts.push(piece(number, parts));
            if nth == 1 {
                let batch = pen.entries(facts.drain(..));
                pen.try_write(&store, &batch, Durability::Synced).await.expect("the append is in order");
            }
        }
        facts.push((step(number), 1));
    }
    let batch = pen.entries(facts);
    pen.try_write(&store, &batch, Durability::Synced).await.expect("the append is in order");
    let left = elide_all(&store, &pen).await;
    assert_eq!((left.len(), all(&store, &agent).await), (13, left));
}

/// Runs that came later, and what is left of earlier ones.
pub async fn what_was_elided_can_be_elided_again<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    let mut left = Vec::new();
    for number in 0..5 {
        answer(&store, &mut pen, number).await;
        left = elide_all(&store, &pen).await;
        assert_eq!(all(&store, &agent).await, left, "{number}");
    }
    // Also together with their neighbours: an elided run is an entry like others.
    let answer = left.split_off(left.len() - 3);
    let events = answer.iter().map(|entry| entry.events).sum();
    let entry = Entry { cursor: answer[0].cursor, events, ..answer[2].clone() };
    let run = Elision { from: answer[0].seq, entry };
    store.elide(&pen.lease, std::slice::from_ref(&run)).await.expect("the run is covered");
    left.push(run.entry);
    assert_eq!(all(&store, &agent).await, left);
}

/// Nor anything without a checkpoint; nor runs out of their order.
pub async fn g7_nothing_beyond_the_checkpoint_is_elided<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    answer(&store, &mut pen, 1).await;
    answer(&store, &mut pen, 2).await;
    let (entries, lease) = (all(&store, &agent).await, pen.lease.clone());
    let runs = runs(&entries);
    let ends: Vec<Seq> = runs.iter().map(|run| run.entry.seq).collect();
    let refused = |seq, covered| Err(StoreError::Conflict { expected: seq, actual: Seq(covered) });
    assert_eq!(store.elide(&lease, &runs).await, refused(ends[0], 0));
    save(&store, &pen, ends[1].0 - 1).await;
    assert_eq!(store.elide(&lease, &runs).await, refused(ends[1], ends[1].0 - 1));
    let turned: Vec<_> = runs.iter().rev().cloned().collect();
    save(&store, &pen, pen.head.seq.0).await;
    assert_eq!(store.elide(&lease, &turned).await, refused(ends[0], pen.head.seq.0));
    assert_eq!(all(&store, &agent).await, entries);
}

/// Nor the lease of an agent that is gone.
pub async fn g5_an_old_epoch_elides_nothing<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut old = Pen::take(&store, &agent).await;
    answer(&store, &mut old, 1).await;
    save(&store, &old, old.head.seq.0).await;
    let (entries, new) = (all(&store, &agent).await, Pen::take(&store, &agent).await);
    let fenced = |current| Err::<(), _>(StoreError::Fenced { epoch: old.epoch(), current });
    let elide = async || -> StoreResult<()> { store.elide(&old.lease, &runs(&entries)).await };
    assert_eq!(elide().await, fenced(new.epoch()));
    assert_eq!(all(&store, &agent).await, entries);
    store.delete(new.lease).await.expect("an agent can be deleted");
    assert_eq!(elide().await, fenced(old.epoch()));
    assert_eq!(all(&store, &agent).await, []);
}

/// One that begins or ends within what an entry stands for; the others are replaced.
pub async fn a_run_that_does_not_fit_stays<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    answer(&store, &mut pen, 1).await;
    let left = elide_all(&store, &pen).await;
    let run = |from, seq: usize| Elision { from: Seq(from), entry: left[seq].clone() };
    let inside = Elision { from: Seq(2), entry: Entry { seq: Seq(3), ..left[1].clone() } };
    for wrong in [run(3, 1), inside] {
        store.elide(&pen.lease, &[run(1, 0), wrong]).await.expect("it is no error");
        assert_eq!(all(&store, &agent).await, left);
    }
}

/// Whoever reads page by page from its own cursor, while all around it is elided.
pub async fn g4_a_reader_beside_elisions_meets_each_kept_event_once<B: Bench>(bench: B) {
    const ANSWERS: usize = 12;
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    answer(&store, &mut pen, 0).await;
    let writer = async {
        for number in 1..ANSWERS as u32 {
            answer(&store, &mut pen, number).await;
            elide_all(&store, &pen).await;
        }
        pen.head
    };
    let reader = async {
        let (mut cursor, mut told, mut ends) = (Cursor::ZERO, Vec::new(), 0);
        while ends < ANSWERS * 2 {
            let page = read(&store, &agent, After::Cursor(cursor), 3).await;
            ends += page.iter().filter(|e| matches!(e.fact, Fact::ModelStarted { .. })).count();
            told.extend(page.iter().flat_map(project).filter(|envelope| envelope.cursor > cursor));
            cursor = page.last().map_or(cursor, Entry::last_cursor);
            tokio::task::yield_now().await;
        }
        told
    };
    let (head, told) = futures_util::join!(writer, reader);
    assert!(told.is_sorted_by(|a, b| a.cursor < b.cursor));
    assert_eq!(told.last().map(|envelope| envelope.cursor), Some(head.cursor));
    for envelope in all(&store, &agent).await.iter().flat_map(project) {
        assert_eq!(told.iter().filter(|other| **other == envelope).count(), 1, "{envelope:?}");
    }
}

/// What is not elided by then is there as it was, or as it is to be.
pub async fn g1_what_is_left_survives_a_power_cut<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    for number in 0..4 {
        answer(&store, &mut pen, number).await;
    }
    let mut left = elide_all(&store, &pen).await;
    left.extend(pen.write_steps(&store, 1).await);
    drop(store);
    bench.power_cut().await;
    let store = bench.open().await;
    assert_eq!(all(&store, &agent).await, left);
    let mut pen = Pen::take(&store, &agent).await;
    answer(&store, &mut pen, 9).await;
    assert_eq!(all(&store, &agent).await, elided_tail(left, &all(&store, &agent).await));
}

/// What was left, with what came since.
fn elided_tail(mut left: Vec<Entry>, now: &[Entry]) -> Vec<Entry> {
    let end = left.last().map(|e| e.seq);
    left.extend(now.iter().filter(|e| Some(e.seq) > end).cloned());
    left
}
