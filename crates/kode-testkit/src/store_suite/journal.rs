//! Cases: what an append does.

use futures_util::future::join_all;
use kode_core::fact::Fact;
use kode_core::id::{Epoch, Seq};
use kode_core::store::{Durability, Head, Journal, Lease, Leases, StoreError};

use super::pen::{HOLDER, NOW, Pen, TTL, all, chunk, id, seqs, step};
use super::{Bench, facts};

/// Scenario 49.
/// Entries of every kind of fact read back equal.
pub async fn every_kind_of_fact_comes_back_as_it_was<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    let written = pen.write(&store, facts::every_kind()).await;
    assert_eq!(all(&store, &agent).await, written);
}

/// Null, false, zero, empty and odd text are values like others, also after reopening.
pub async fn falsy_results_nul_and_unicode_come_back<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut written = Vec::new();
    let mut pen = Pen::take(&store, &agent).await;
    for fact in facts::awkward() {
        written.extend(pen.write(&store, vec![fact]).await);
    }
    assert_eq!(all(&store, &agent).await, written);
    drop(store);
    assert_eq!(all(&bench.open().await, &agent).await, written);
}

/// Seqs run from 1 without a gap, over batches, leases and reopening.
pub async fn batches_follow_each_other_without_a_gap<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    pen.write(&store, vec![step(1), step(2), step(3)]).await;
    pen.write_chunk(&store, "x", 4).await;
    let mut pen = Pen::take(&store, &agent).await;
    pen.write(&store, vec![step(4), step(5)]).await;
    drop(store);
    let store = bench.open().await;
    let mut pen = Pen::take(&store, &agent).await;
    pen.write(&store, vec![step(6)]).await;
    assert_eq!(seqs(&all(&store, &agent).await), [1, 2, 3, 4, 5, 6, 7]);
}

/// Below and beyond the head alike.
pub async fn a_wrong_expected_seq_is_a_conflict_and_writes_nothing<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    let written = pen.write_steps(&store, 2).await;
    for expected in [0, 1, 3, 99].map(Seq) {
        let mut wrong = pen.clone();
        wrong.head.seq = expected;
        let batch = wrong.entries([(step(9), 1)]);
        let refused = store.append(&pen.lease, expected, &batch, Durability::Synced).await;
        assert_eq!(refused, Err(StoreError::Conflict { expected, actual: Seq(2) }));
    }
    assert_eq!(all(&store, &agent).await, written);
    pen.write(&store, vec![step(3)]).await;
}

/// A batch that is not gapless from the head is refused, and none of it is written.
pub async fn a_batch_with_a_gap_is_refused_whole<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    let written = pen.write_steps(&store, 1).await;
    let mut batch = pen.entries([(step(2), 1), (step(3), 1)]);
    batch[1].seq = Seq(4);
    let refused = store.append(&pen.lease, Seq(1), &batch, Durability::Synced).await;
    assert_eq!(refused, Err(StoreError::Conflict { expected: Seq(3), actual: Seq(2) }));
    assert_eq!(all(&store, &agent).await, written);
    pen.write(&store, vec![step(2)]).await;
}

/// An entry's epoch is its writer's.
pub async fn a_batch_of_another_epoch_is_refused_whole<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    let written = pen.write_steps(&store, 1).await;
    let mut batch = pen.entries([(step(2), 1), (step(3), 1)]);
    let other = Epoch(pen.epoch().0 + 1);
    batch[1].epoch = other;
    let refused = store.append(&pen.lease, Seq(1), &batch, Durability::Synced).await;
    assert_eq!(refused, Err(StoreError::Fenced { epoch: other, current: pen.epoch() }));
    assert_eq!(all(&store, &agent).await, written);
}

/// They rise from batch to batch and within one, up to the lease's; none falls.
pub async fn a_copy_brings_the_epochs_of_earlier_writers<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    let own = pen.epoch();
    let of = |pen: &Pen, below: [u32; 2]| {
        let lease = |below| Lease { epoch: Epoch(own.0 - below), ..pen.lease.clone() };
        let first = Pen { lease: lease(below[0]), ..pen.clone() }.entries([(step(1), 1)]);
        let last = &first[0];
        let head = Head { seq: last.seq, epoch: last.epoch, cursor: last.last_cursor() };
        [first, Pen { lease: lease(below[1]), head }.entries([(step(2), 2)])].concat()
    };
    let mut written = Vec::new();
    for below in [[9, 7], [7, 4]] {
        let batch = of(&pen, below);
        pen.try_write(&store, &batch, Durability::Synced).await.expect("the epochs rise");
        written.extend(batch);
    }
    let last = Epoch(own.0 - 4);
    for (below, fell, current) in [([5, 1], 5, last), ([2, 3], 3, Epoch(own.0 - 2))] {
        let batch = of(&pen, below);
        let refused = store.append(&pen.lease, Seq(4), &batch, Durability::Synced).await;
        assert_eq!(refused, Err(StoreError::Fenced { epoch: Epoch(own.0 - fell), current }));
    }
    drop(store);
    let store = bench.open().await;
    assert_eq!(all(&store, &agent).await, written);
    let mut pen = Pen::take(&store, &agent).await;
    assert!(pen.head.epoch == last && pen.epoch() > own);
    written.extend(pen.write_steps(&store, 1).await);
    assert_eq!(all(&store, &agent).await, written);
}

/// It syncs, and is checked like any other.
pub async fn an_empty_batch_changes_nothing<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    pen.try_write(&store, &[], Durability::Synced).await.expect("an empty journal can be synced");
    let written = pen.write_steps(&store, 1).await;
    let more = pen.write_chunk(&store, "x", 2).await;
    pen.try_write(&store, &[], Durability::Synced).await.expect("what is buffered can be synced");
    pen.try_write(&store, &[], Durability::Buffered).await.expect("nothing can be buffered");
    let refused = store.append(&pen.lease, Seq(1), &[], Durability::Synced).await;
    assert_eq!(refused, Err(StoreError::Conflict { expected: Seq(1), actual: Seq(2) }));
    assert_eq!(all(&store, &agent).await, [written, more].concat());
}

/// A thousand entries in one batch, and one entry of a megabyte.
pub async fn large_batches_come_back<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    let many = pen.write(&store, (0..1_000).map(step).collect()).await;
    let big = pen.write(&store, vec![chunk(&"ü\n".repeat(350_000), 1)]).await;
    let small = pen.write(&store, vec![step(1)]).await;
    assert_eq!(all(&store, &agent).await, [many, big, small].concat());
}

/// Buffered means handed over: only the power can take it.
pub async fn both_grades_survive_the_death_of_the_process<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    let mut written = pen.write_steps(&store, 2).await;
    for text in ["x", "y", "z"] {
        written.extend(pen.write_chunk(&store, text, 3).await);
    }
    drop(store);
    let store = bench.open().await;
    assert_eq!(all(&store, &agent).await, written);
    assert_eq!(Pen::take(&store, &agent).await.head, pen.head);
}

/// A sync covers everything before it; what is buffered behind it may go, as whole batches from the end.
pub async fn g1_what_is_synced_survives_a_power_cut<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    let mut written = pen.write_steps(&store, 1).await;
    written.extend(pen.write_chunk(&store, "covered", 3).await);
    written.extend(pen.write_steps(&store, 1).await);
    let synced = written.len();
    written.extend(pen.write_chunk(&store, "uncovered", 3).await);
    drop(store);
    let cut = bench.power_cut().await;
    let store = bench.open().await;
    let pen = Pen::take(&store, &agent).await;
    let left = all(&store, &agent).await;
    assert!(left.len() >= if cut { synced } else { written.len() }, "only {} entries are left", left.len());
    assert_eq!(left, written[..left.len()]);
    assert_eq!(pen.head.seq.0, left.len() as u64);
}

/// Of many appends at the same place one takes place; the others change nothing.
pub async fn g5_racing_writers_interleave_nothing<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    pen.write_steps(&store, 1).await;
    let batches: Vec<_> = (0..16).map(|n| pen.entries([(step(n), 1), (step(n), 1), (step(n), 1)])).collect();
    let race = batches.iter().map(|batch| store.append(&pen.lease, Seq(1), batch, Durability::Synced));
    let results = join_all(race).await;
    let won: Vec<_> =
        results.iter().enumerate().filter(|(_, result)| result.is_ok()).map(|(n, _)| n).collect();
    assert_eq!(won.len(), 1, "{results:?}");
    let lost = results.iter().filter_map(|result| result.as_ref().err());
    let conflict = StoreError::Conflict { expected: Seq(1), actual: Seq(4) };
    assert!(lost.into_iter().all(|error| *error == conflict), "{results:?}");
    assert_eq!(all(&store, &agent).await[1..], batches[won[0]]);
}

/// Agents share a store and nothing else.
pub async fn a_hundred_agents_write_at_once<B: Bench>(bench: B) {
    let store = bench.open().await;
    let write = async |n: u32| {
        let agent = id(&format!("user:{n}"));
        let lease = store.acquire(&agent, HOLDER, TTL, NOW).await.expect("the lease is free");
        let mut pen = Pen { lease, head: kode_core::store::Head::default() };
        let mut written = Vec::new();
        for round in 0..5 {
            written.extend(pen.write(&store, vec![step(n), step(round)]).await);
            written.extend(pen.write_chunk(&store, "x", n + 1).await);
        }
        (agent, written)
    };
    for (agent, written) in join_all((0..100).map(write)).await {
        assert_eq!(all(&store, &agent).await, written);
        assert!(
            matches!(&written[0].fact, Fact::ModelStarted { step, .. } if agent == id(&format!("user:{step}")))
        );
    }
}
