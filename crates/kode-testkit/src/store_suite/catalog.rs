//! Cases: which agents there are, and what is left of a deleted one.

use futures_util::future::{join, join_all};
use kode_core::id::{AGENT_ID_MAX, AgentId, Seq};
use kode_core::store::counters::{Counters, Day};
use kode_core::store::{Catalog, Checkpoints, Durability, Journal, Leases, Store, StoreError};

use super::Bench;
use super::checkpoints::checkpoint;
use super::pen::{Pen, all, id, seqs, step};

async fn make(store: &impl Store, names: &[&str]) {
    for (steps, name) in (1..).zip(names) {
        let mut pen = Pen::take(store, &id(name)).await;
        pen.write_steps(store, steps).await;
        store.release(pen.lease, true).await.expect("a lease can be given back");
    }
}

async fn list(store: &impl Store, prefix: &str) -> Vec<String> {
    let page = store.list(prefix, None, 1_000).await.expect("agents can be listed");
    page.into_iter().map(String::from).collect()
}

/// None is another, in spite of case, length, dots and signs; each is listed and has its own entries.
pub async fn ids_of_every_legal_kind_are_agents_of_their_own<B: Bench>(bench: B) {
    let long = ["x".repeat(AGENT_ID_MAX), format!("{}y", "x".repeat(AGENT_ID_MAX - 1))];
    let mut names = vec![
        "User:a",
        "user:a",
        "USER:A",
        "0",
        "00",
        "a.b",
        "a..",
        "a.b.",
        "a~1",
        "~",
        "@",
        "a@b.c",
        "_",
        ":",
        "::",
        "a:",
        "a-b",
        "a_b",
        "journal-1.jsonl",
        "user:1:session:s_1.2~x@y-z",
        "CON",
        "nul",
    ];
    names.extend(long.iter().map(String::as_str));
    let store = bench.open().await;
    make(&store, &names).await;
    for (steps, name) in (1..).zip(&names) {
        assert_eq!(all(&store, &id(name)).await.len(), steps, "{name}");
    }
    names.sort_unstable();
    assert_eq!(list(&store, "").await, names);
}

/// G8 of the catalog: `user:1` does not reach `user:12`.
pub async fn prefixes_match_whole_segments<B: Bench>(bench: B) {
    let store = bench.open().await;
    make(
        &store,
        &["user:1", "user:1:session:a", "user:12", "user:1-2", "user:1.x:b", "user", "User:1", "team:user:1"],
    )
    .await;
    assert_eq!(list(&store, "user:1").await, ["user:1", "user:1:session:a"]);
    assert_eq!(list(&store, "user:1:").await, ["user:1", "user:1:session:a"]);
    assert_eq!(list(&store, "user:1:session").await, ["user:1:session:a"]);
    assert_eq!(list(&store, "user").await.len(), 6);
    assert_eq!(list(&store, "use").await, [""; 0]);
    assert_eq!(list(&store, "nobody").await, [""; 0]);
    assert_eq!(list(&store, "").await.len(), 8);
}

/// By bytes, each once, whatever the size of pages; from any name on, also one that is not there.
pub async fn lists_are_ordered_and_paged<B: Bench>(bench: B) {
    let store = bench.open().await;
    let mut names = ["b", "a", "Z", "a:1", "a.1", "a-1", "aa", "0", "~", "_"];
    make(&store, &names).await;
    names.sort_unstable();
    for limit in 1..=11 {
        let mut listed: Vec<AgentId> = Vec::new();
        loop {
            let page = store.list("", listed.last(), limit).await.expect("agents can be listed");
            assert!(page.len() <= limit);
            let at_end = page.len() < limit;
            listed.extend(page);
            if at_end {
                break;
            }
        }
        assert_eq!(listed, names.map(id), "pages of {limit}");
    }
    assert_eq!(store.list("", Some(&id("a0")), 2).await, Ok(vec![id("a:1"), id("aa")]));
    assert_eq!(store.list("", None, 0).await, Ok(vec![]));
}

/// Scenario 31.
/// Only entries do.
pub async fn a_lease_alone_makes_no_agent<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let pen = Pen::take(&store, &agent).await;
    assert_eq!((store.head(&agent).await, list(&store, "").await), (Ok(None), vec![]));
    store.release(pen.lease, true).await.expect("a lease can be given back");
    assert_eq!((store.head(&agent).await, list(&store, "").await), (Ok(None), vec![]));
    assert_eq!(store.unfinished().await, Ok(vec![]));
}

/// Entries, checkpoint, mark and name; not the neighbours.
pub async fn g7_delete_removes_everything<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    make(&store, &["a:1", "aa"]).await;
    let mut pen = Pen::take(&store, &agent).await;
    pen.write_steps(&store, 3).await;
    store.save_checkpoint(&pen.lease, &checkpoint(2, "x")).await.expect("a checkpoint can be saved");
    store.delete(pen.lease).await.expect("an agent can be deleted");
    assert_gone(&store, &agent).await;
    assert_eq!(list(&store, "").await, ["a:1", "aa"]);
    assert_eq!(store.unfinished().await, Ok(vec![]));
}

async fn assert_gone(store: &impl Store, agent: &AgentId) {
    assert_eq!(all(store, agent).await, []);
    assert_eq!(store.head(agent).await, Ok(None));
    assert_eq!(store.load_checkpoint(agent).await, Ok(None));
}

/// The lease that deleted, and a writer at the same moment: nothing is left, nothing comes after.
pub async fn delete_is_final_while_an_old_lease_writes<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    pen.write_steps(&store, 2).await;
    let batch = pen.entries([(step(3), 1)]);
    let append = store.append(&pen.lease, Seq(2), &batch, Durability::Synced);
    let (deleted, appended) = join(store.delete(pen.lease.clone()), append).await;
    assert_eq!(deleted, Ok(()));
    let fenced = StoreError::Fenced { epoch: pen.epoch(), current: pen.epoch() };
    assert!(appended.is_ok() || appended == Err(fenced.clone()), "{appended:?}");
    assert_gone(&store, &agent).await;
    for grade in [Durability::Buffered, Durability::Synced] {
        assert_eq!(store.append(&pen.lease, Seq(2), &batch, grade).await, Err(fenced.clone()));
    }
    let saved = checkpoint(1, "late");
    assert_eq!(store.save_checkpoint(&pen.lease, &saved).await, Err(fenced.clone()));
    assert_eq!(store.delete(pen.lease).await, Err(fenced));
    assert_gone(&store, &agent).await;
    assert_eq!(list(&store, "").await, [""; 0]);
}

/// It begins at 1, above every cursor of the old one.
pub async fn a_recreated_agent_has_nothing_of_the_old_one<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut old = Pen::take(&store, &agent).await;
    old.write_steps(&store, 5).await;
    store.save_checkpoint(&old.lease, &checkpoint(4, "old")).await.expect("a checkpoint can be saved");
    store.delete(old.lease.clone()).await.expect("an agent can be deleted");
    let mut new = Pen::take(&store, &agent).await;
    assert_eq!(new.head.seq, Seq::ZERO);
    let written = new.write_steps(&store, 2).await;
    assert_eq!(seqs(&written), [1, 2]);
    assert!(written[0].cursor > old.head.cursor);
    assert_eq!(all(&store, &agent).await, written);
    assert_eq!(store.load_checkpoint(&agent).await, Ok(None));
    let batch = old.entries([(step(6), 1)]);
    let refused = store.append(&old.lease, Seq(5), &batch, Durability::Synced).await;
    assert_eq!(refused, Err(StoreError::Fenced { epoch: old.epoch(), current: new.epoch() }));
}

/// Deleting what was only leased ends the lease.
pub async fn an_agent_without_entries_can_be_deleted<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let pen = Pen::take(&store, &agent).await;
    store.delete(pen.lease.clone()).await.expect("a name can be deleted");
    assert_eq!(store.unfinished().await, Ok(vec![]));
    let again = Pen::take(&store, &agent).await;
    assert!(again.epoch() > pen.epoch());
}

/// Over the death of the process, and over a power cut.
pub async fn a_deleted_agent_stays_deleted_over_reopening<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    pen.write_steps(&store, 3).await;
    store.delete(pen.lease.clone()).await.expect("an agent can be deleted");
    drop(store);
    bench.power_cut().await;
    let store = bench.open().await;
    assert_gone(&store, &agent).await;
    assert_eq!(list(&store, "").await, [""; 0]);
    assert!(Pen::take(&store, &agent).await.epoch() > pen.epoch());
}

/// An open store takes reads and writes.
pub async fn the_store_is_ready<B: Bench>(bench: B) {
    let store = bench.open().await;
    assert_eq!(store.ready().await, Ok(()));
    assert!(!store.kind().is_empty());
}

/// Counts of each name and day for themselves; none is lost among many who add. A store may keep none.
pub async fn counts_add_up_for_all_and_over_reopening<B: Bench>(bench: B) {
    let (today, yesterday) = (Day(20_001), Day(20_000));
    let names = ["a", "key \"x\"\n", ""];
    let store = bench.open().await;
    let Some(counters) = store.counters() else { return };
    let add = async |counters: &dyn Counters, name, day, n| {
        counters.add(name, day, n).await.expect("it is counted")
    };
    assert_eq!(add(counters, "a", yesterday, 5).await, 5);
    join_all((0..50).flat_map(|_| names.map(|name| add(counters, name, today, 2)))).await;
    assert_eq!(add(counters, "a", today, 1).await, 101);
    drop(store);
    let store = bench.open().await;
    let counters = store.counters().expect("it kept counts before");
    for (name, day, expected) in [
        ("a", today, 101),
        (names[1], today, 100),
        ("", today, 100),
        ("a", yesterday, 5),
        ("b", today, 0),
        ("a", Day(20_002), 0),
    ] {
        assert_eq!(counters.count(name, day).await, Ok(expected), "{name:?} on {day:?}");
    }
    assert_eq!(add(counters, "a", today, u64::MAX).await, u64::MAX, "it does not begin anew");
}
