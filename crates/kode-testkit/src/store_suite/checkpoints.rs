//! Cases: checkpoints are whole or none.

use std::collections::BTreeMap;

use bytes::Bytes;
use kode_core::id::Seq;
use kode_core::store::{CHECKPOINT_FILES, Checkpoint, Checkpoints, Journal, Leases, StoreError};

use super::Bench;
use super::pen::{Pen, id};

/// A checkpoint with four documents, told apart by a word.
#[must_use]
pub fn checkpoint(seq: u64, word: &str) -> Checkpoint {
    let document =
        |name: &str| Bytes::from(format!("{{\n  \"name\": \"{name}\",\n  \"word\": \"{word}\"\n}}"));
    let files: BTreeMap<_, _> = CHECKPOINT_FILES.map(|name| (name.to_owned(), document(name))).into();
    Checkpoint { seq: Seq(seq), files }
}

/// Byte for byte.
pub async fn a_checkpoint_comes_back_as_it_was<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    pen.write_steps(&store, 3).await;
    assert_eq!(store.load_checkpoint(&agent).await, Ok(None));
    let saved = checkpoint(2, "日本語 \\u0000");
    store.save_checkpoint(&pen.lease, &saved).await.expect("a checkpoint can be saved");
    assert_eq!(store.load_checkpoint(&agent).await, Ok(Some(saved)));
}

/// Also seen from beside: always one that was saved, never a mixture.
pub async fn a_checkpoint_is_replaced_as_a_whole<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    pen.write_steps(&store, 20).await;
    let versions: Vec<_> = (1..=20u64).map(|n| checkpoint(n, &"w".repeat(500 / n as usize))).collect();
    store.save_checkpoint(&pen.lease, &versions[0]).await.expect("a checkpoint can be saved");
    let writer = async {
        for version in &versions {
            store.save_checkpoint(&pen.lease, version).await.expect("a checkpoint can be saved");
        }
    };
    let reader = async {
        loop {
            let loaded = store.load_checkpoint(&agent).await.expect("a checkpoint can be loaded");
            let loaded = loaded.expect("there is always one");
            assert!(versions.contains(&loaded));
            if loaded.seq == Seq(20) {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    futures_util::join!(writer, reader);
}

/// It stands for its seq, not for the head.
pub async fn a_checkpoint_stays_while_entries_follow<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    pen.write_steps(&store, 2).await;
    let saved = checkpoint(2, "two");
    store.save_checkpoint(&pen.lease, &saved).await.expect("a checkpoint can be saved");
    pen.write_steps(&store, 3).await;
    pen.write_chunk(&store, "x", 2).await;
    assert_eq!(store.load_checkpoint(&agent).await, Ok(Some(saved.clone())));
    store.release(pen.lease, true).await.expect("a lease can be given back");
    assert_eq!(store.load_checkpoint(&agent).await, Ok(Some(saved)));
}

/// And of the power: it syncs what it covers first.
pub async fn a_checkpoint_survives_the_death_of_the_process<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    pen.write_steps(&store, 1).await;
    pen.write_chunk(&store, "x", 2).await;
    let saved = checkpoint(2, "two");
    store.save_checkpoint(&pen.lease, &saved).await.expect("a checkpoint can be saved");
    drop(store);
    bench.power_cut().await;
    let store = bench.open().await;
    assert_eq!(store.load_checkpoint(&agent).await, Ok(Some(saved)));
    assert_eq!(Pen::take(&store, &agent).await.head.seq, Seq(2));
}

/// Nothing beyond the head, and nothing of an empty journal.
pub async fn a_checkpoint_covers_only_what_is_there<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    let empty = store.save_checkpoint(&pen.lease, &checkpoint(0, "none")).await;
    assert_eq!(empty, Err(StoreError::Conflict { expected: Seq(0), actual: Seq(0) }));
    pen.write_steps(&store, 2).await;
    let beyond = store.save_checkpoint(&pen.lease, &checkpoint(3, "beyond")).await;
    assert_eq!(beyond, Err(StoreError::Conflict { expected: Seq(3), actual: Seq(2) }));
    assert_eq!(store.load_checkpoint(&agent).await, Ok(None));
    assert_eq!(store.head(&agent).await.map(|head| head.map(|h| h.seq)), Ok(Some(Seq(2))));
}
