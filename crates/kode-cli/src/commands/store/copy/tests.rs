//! Copies between stores of the testkit and of files: what is there afterwards, and what is there when it fails.

use async_trait::async_trait;
use kode_core::fact::{Entry, Fact};
use kode_core::id::{Millis, Seq};
use kode_core::store::decorate::Decorator;
use kode_core::store::memory::MemoryStore;
use kode_core::store::{
    BlobName, Blobs, Catalog, Checkpoints, Durability, Journal, Lease, Leases, Nodes, StoreResult,
};
use kode_testkit::faulty::{Faults, FaultyStore, Op, When};
use kode_testkit::golden::{fill, snapshot};
use kode_testkit::store_suite::pen::{HOLDER, NOW, Pen, TTL, all, chunk, id, step};

use super::*;
use crate::compose::FsStore;

async fn copy(from: &dyn Store, to: &dyn Store) -> Result<Done, Failure> {
    Work { from, to: Some(to), holder: "copy", prefix: "", dry: false }.run().await
}

fn why(done: Result<Done, Failure>) -> String {
    done.expect_err("it was refused").why().to_owned()
}

/// A store with agents of every kind: elided, with a blob, unfinished, and one with a long run.
async fn source() -> MemoryStore {
    let store = MemoryStore::new();
    fill(Arc::new(store.clone())).await;
    let pen = Pen::take(&store, &id("every:kind")).await;
    let name = BlobName::new("result-call_1_0").unwrap();
    store.put_blob(&pen.lease, &name, &"kept beside\0".into()).await.unwrap();
    store.release(pen.lease, true).await.unwrap();
    let mut pen = Pen::take(&store, &id("long")).await;
    let batch = pen.entries((0..3_000).map(|_| (chunk("x", 1), 1)));
    pen.try_write(&store, &batch, Durability::Synced).await.unwrap();
    pen.write(&store, vec![step(1)]).await;
    let covering = kode_core::store::Checkpoint { seq: Seq(3_001), files: Default::default() };
    store.save_checkpoint(&pen.lease, &covering).await.unwrap();
    let entry = Entry { cursor: batch[0].cursor, events: 3_000, ..batch[2_999].clone() };
    store.elide(&pen.lease, &[kode_core::store::Elision { from: Seq(1), entry }]).await.unwrap();
    store.release(pen.lease, false).await.unwrap();
    store
}

async fn everything(store: &dyn Store) -> Vec<(AgentId, Proof)> {
    let mut all = Vec::new();
    for agent in listed(store, "").await.unwrap() {
        let proof = Proof::of(store, &agent).await.unwrap();
        all.push((agent, proof));
    }
    all
}

#[tokio::test]
async fn g1_g4_from_store_to_store_and_back_everything_is_as_it_was() {
    let (first, dir, last) = (source().await, tempfile::tempdir().unwrap(), MemoryStore::new());
    let files = FsStore::open(dir.path()).unwrap();
    let (before, told) = (everything(&first).await, snapshot(&first).await);
    assert_eq!(before.len(), 5);
    let done = copy(&first, &files).await.unwrap();
    assert_eq!((done.copied, done.same), (before.clone(), vec![]));
    copy(&files, &last).await.unwrap();
    for store in [&files as &dyn Store, &last] {
        assert_eq!(everything(store).await, before);
        assert_eq!(store.unfinished().await, Ok(vec![id("long")]), "the mark goes with the agent");
    }
    assert_eq!(snapshot(&last).await, told);
    assert_eq!(first.unfinished().await, Ok(vec![id("long")]), "and stays at the source");
    // Both sides are free, and a writer goes on above every cursor that was told.
    let mut pen = Pen::take(&last, &id("long")).await;
    let written = pen.write_steps(&last, 1).await;
    assert!(written[0].cursor > all(&first, &id("long")).await.last().unwrap().last_cursor());
}

#[tokio::test]
async fn g7_other_agents_of_the_same_names_are_refused_before_anything_is_copied() {
    let (from, to) = (source().await, MemoryStore::new());
    Pen::take(&to, &id("long")).await.write_steps(&to, 1).await;
    let there = everything(&to).await;
    assert!(why(copy(&from, &to).await).contains("names that are not the same: long"));
    assert_eq!(everything(&to).await, there);
}

#[tokio::test]
async fn a_second_run_finds_all_there() {
    let (from, to) = (source().await, MemoryStore::new());
    let copied = copy(&from, &to).await.unwrap().copied;
    let again = copy(&from, &to).await.unwrap();
    assert_eq!((again.copied.len(), again.same.len()), (0, copied.len()));
}

#[tokio::test]
async fn g5_an_agent_that_a_server_holds_is_not_copied_nor_any_other() {
    let (from, to) = (source().await, MemoryStore::new());
    let lease = from.acquire(&id("lived:1"), HOLDER, TTL, now()).await.unwrap();
    assert!(why(copy(&from, &to).await).contains("stop the servers"));
    assert_eq!(to.list("", None, 10).await, Ok(vec![]));
    from.release(lease, true).await.unwrap();
    copy(&from, &to).await.expect("now it is free, and so are those that were taken before it");
}

#[tokio::test]
async fn g5_a_source_on_which_a_node_is_there_is_not_copied() {
    let (from, to) = (source().await, MemoryStore::new());
    let node =
        kode_core::store::Node { id: "node-1".into(), url: "http://node-1".into(), mark: String::new() };
    from.announce(&node, TTL, now()).await.unwrap();
    assert!(why(copy(&from, &to).await).contains("node-1 uses the source"));
    from.withdraw("node-1").await.unwrap();
    copy(&from, &to).await.expect("the node has gone");
}

/// A store that keeps one fact as another.
struct Careless(MemoryStore);

#[async_trait]
impl Decorator for Careless {
    fn inner(&self) -> &dyn Store {
        &self.0
    }

    async fn append(
        &self,
        lease: &Lease,
        expected: Seq,
        entries: &[Entry],
        grade: Durability,
    ) -> StoreResult<()> {
        let mut entries = entries.to_vec();
        if let Some(Fact::ModelStarted { step, .. }) = entries.last_mut().map(|entry| &mut entry.fact) {
            *step += 1;
        }
        self.0.append(lease, expected, &entries, grade).await
    }
}

#[tokio::test]
async fn g7_a_copy_that_is_not_the_same_is_seen_and_removed() {
    let (from, to) = (MemoryStore::new(), Careless(MemoryStore::new()));
    let pen_and_steps = async {
        let mut pen = Pen::take(&from, &id("a")).await;
        pen.write_steps(&from, 3).await;
        from.release(pen.lease, true).await
    };
    pen_and_steps.await.unwrap();
    assert!(why(copy(&from, &to).await).contains("differs in its entries"));
    assert_eq!(to.0.list("", None, 10).await, Ok(vec![]));
    assert!(from.acquire(&id("a"), HOLDER, TTL, NOW).await.is_ok(), "the source is free again");
}

/// Wherever it fails, what is at the target is whole, and a second run does the rest.
#[tokio::test]
async fn g1_a_copy_that_is_cut_off_leaves_whole_agents_and_can_be_run_again() {
    let from = source().await;
    let before = everything(&from).await;
    let full = kode_core::store::StoreError::Full("scripted".into());
    let ops = [Op::Append, Op::SaveCheckpoint, Op::Elide, Op::PutBlob, Op::Read, Op::Acquire, Op::Renew];
    for op in ops {
        for nth in [1, 2, 4] {
            for when in [When::Before, When::After] {
                let to = FaultyStore::new(MemoryStore::new(), Faults::none());
                to.faults().fail_nth(op, nth, when, full.clone());
                let first = copy(&from, &to).await;
                to.faults().mend();
                for left in everything(&to).await {
                    assert!(before.contains(&left), "{op:?} {nth} {when:?}: {left:?}");
                }
                assert!(
                    first.is_err() || matches!(op, Op::PutBlob | Op::Elide | Op::SaveCheckpoint),
                    "{op:?} {nth}"
                );
                copy(&from, &to).await.unwrap_or_else(|why| panic!("{op:?} {nth} {when:?}: {}", why.why()));
                assert_eq!(everything(&to).await, before);
            }
        }
    }
}

/// The source's lease is all that keeps its writers away.
#[tokio::test]
async fn g5_a_lost_lease_at_the_source_ends_the_copy() {
    let (from, to) = (FaultyStore::new(source().await, Faults::none()), MemoryStore::new());
    let (epoch, current) = (kode_core::id::Epoch(1), kode_core::id::Epoch(2));
    let fenced = kode_core::store::StoreError::Fenced { epoch, current };
    from.faults().fail_nth(Op::Renew, 1, When::Before, fenced);
    assert!(why(copy(&from, &to).await).contains("fenced off"));
    assert_eq!(to.list("", None, 10).await, Ok(vec![]));
}

#[tokio::test]
async fn a_dry_run_writes_nothing() {
    let (from, to) = (source().await, MemoryStore::new());
    let work = Work { from: &from, to: Some(&to), holder: "copy", prefix: "every", dry: true };
    assert_eq!(work.run().await.unwrap().copied.len(), 2);
    assert_eq!(to.list("", None, 10).await, Ok(vec![]));
}

/// A source whose clock ran ahead has epochs that the target would grant only later.
#[tokio::test]
async fn g4_epochs_ahead_of_time_are_copied_too() {
    let (from, to): (_, _) = (MemoryStore::new(), MemoryStore::new());
    let ahead: Millis = now() + 30 * 86_400_000;
    let mut pen = Pen::take_at(&from, &id("a"), ahead).await;
    pen.write_steps(&from, 2).await;
    from.release(pen.lease, true).await.unwrap();
    copy(&from, &to).await.unwrap();
    assert_eq!(all(&to, &id("a")).await, all(&from, &id("a")).await);
    assert!(Pen::take(&to, &id("a")).await.epoch() > all(&from, &id("a")).await[0].epoch);
}
