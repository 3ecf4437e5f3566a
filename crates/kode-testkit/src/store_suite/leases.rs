//! Cases: who may write, and who is refused.

use futures_util::future::join_all;
use kode_core::id::Seq;
use kode_core::store::{Checkpoint, Checkpoints, Durability, Head, Journal, Leases, Store, StoreError};

use super::Bench;
use super::checkpoints::checkpoint;
use super::pen::{HOLDER, NOW, Pen, TTL, all, id, step};
use super::time::{Clock, Time};

const OTHER: &str = "node-2";

/// Up to the very millisecond of its end, and not beyond.
pub async fn g5_another_holder_is_refused_until_the_lease_expires<B: Bench>(bench: B) {
    let (store, agent, time) = (bench.open().await, id("a"), Time::begin(&bench));
    let take = async |ttl, now| {
        let lease = store.acquire(&agent, HOLDER, ttl, now).await?;
        Pen { lease: lease.clone(), head: Head::default() }.write(&store, vec![step(1)]).await;
        Ok(lease)
    };
    let (old, taken) = time.take_over(&store, &agent, OTHER, take).await;
    assert!(taken.epoch > old.epoch);
    let pen =
        Pen { lease: old, head: store.head(&agent).await.expect("the head can be read").unwrap_or_default() };
    let batch = pen.entries([(step(2), 1)]);
    let refused = store.append(&pen.lease, Seq(1), &batch, Durability::Synced).await;
    assert_eq!(refused, Err(StoreError::Fenced { epoch: pen.epoch(), current: taken.epoch }));
}

/// From the time given, not from the old end.
pub async fn renewing_prolongs<B: Bench>(bench: B) {
    let (store, agent, time) = (bench.open().await, id("a"), Time::begin(&bench));
    let lease = store.acquire(&agent, HOLDER, time.ttl(), NOW).await.expect("the lease is free");
    let renewed = store.renew(&lease, TTL, NOW + 1_000).await.expect("the lease is in force");
    assert_eq!((renewed.epoch, renewed.expires), (lease.epoch, NOW + 1_000 + TTL));
    let beyond_the_old_end = time.pass(time.ttl()).await;
    let refused = store.acquire(&agent, OTHER, TTL, beyond_the_old_end).await;
    match time.clock() {
        Clock::Callers => time.assert_held(refused, renewed.expires),
        Clock::Stores => time.assert_held(refused, NOW + TTL),
    }
    let renew = async |ttl, now| store.renew(&renewed, ttl, now).await;
    time.take_over(&store, &agent, OTHER, renew).await;
}

/// Nor how long it says that it has been: a lease ends by the clock that counts. Where that is the caller's, it is
/// believed, and this is what the callers of such a store have to get right.
pub async fn g5_a_wrong_clock_takes_no_lease_of_a_store_with_its_own<B: Bench>(bench: B) {
    let (store, agent, time) = (bench.open().await, id("a"), Time::begin(&bench));
    Pen::take(&store, &agent).await;
    let refused = store.acquire(&agent, OTHER, TTL, NOW + 10 * TTL).await;
    match time.clock() {
        Clock::Callers => assert!(refused.is_ok(), "{refused:?}"),
        Clock::Stores => time.assert_held(refused, NOW + 11 * TTL),
    }
}

/// A holder that comes again gets a higher epoch at once; what it held before is fenced.
pub async fn g5_the_same_holder_fences_its_older_self<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut old = Pen::take(&store, &agent).await;
    old.write_steps(&store, 1).await;
    let mut new = Pen::take(&store, &agent).await;
    assert!(new.epoch() > old.epoch());
    assert_fenced(&store, &old, new.epoch()).await;
    new.write_steps(&store, 1).await;
    assert_fenced(&store, &old, new.epoch()).await;
}

/// Every kind of write, before and after the new writer has written.
pub async fn g5_an_old_epoch_is_fenced_at_every_write<B: Bench>(bench: B) {
    let (store, agent, time) = (bench.open().await, id("a"), Time::begin(&bench));
    let mut old = Pen::take(&store, &agent).await;
    old.write_steps(&store, 2).await;
    let renew = async |ttl, now| store.renew(&old.lease, ttl, now).await;
    let (_, lease) = time.take_over(&store, &agent, OTHER, renew).await;
    let mut new = Pen { lease, head: old.head };
    assert_fenced(&store, &old, new.epoch()).await;
    let saved = checkpoint(2, "new");
    store.save_checkpoint(&new.lease, &saved).await.expect("the new lease is in force");
    new.write_steps(&store, 2).await;
    assert_fenced(&store, &old, new.epoch()).await;
    assert_eq!(all(&store, &agent).await.len(), 4);
    assert_eq!(store.load_checkpoint(&agent).await, Ok(Some(saved)));
}

/// All four writes of a lease are refused, and change nothing.
async fn assert_fenced(store: &impl Store, old: &Pen, current: kode_core::id::Epoch) {
    let fenced = StoreError::Fenced { epoch: old.epoch(), current };
    let batch = old.entries([(step(9), 1)]);
    for grade in [Durability::Buffered, Durability::Synced] {
        let appended = store.append(&old.lease, old.head.seq, &batch, grade).await;
        assert_eq!(appended, Err(fenced.clone()));
    }
    let empty = store.append(&old.lease, old.head.seq, &[], Durability::Synced).await;
    assert_eq!(empty, Err(fenced.clone()));
    let saved: Checkpoint = checkpoint(1, "old");
    assert_eq!(store.save_checkpoint(&old.lease, &saved).await, Err(fenced.clone()));
    assert_eq!(store.renew(&old.lease, TTL, NOW).await, Err(fenced.clone()));
    assert_eq!(store.delete(old.lease.clone()).await, Err(fenced));
}

/// And the agent is free for others at once.
pub async fn a_lease_given_back_writes_nothing<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    for clean in [true, false] {
        let mut pen = Pen::take(&store, &agent).await;
        pen.write_steps(&store, 1).await;
        store.release(pen.lease.clone(), clean).await.expect("a lease can be given back");
        assert_fenced(&store, &pen, pen.epoch()).await;
        let other = store.acquire(&agent, OTHER, TTL, NOW).await.expect("the agent is free");
        store.release(other, true).await.expect("a lease can be given back");
    }
    assert_eq!(all(&store, &agent).await.len(), 2);
}

/// It neither ends the lease in force nor clears the mark of unfinished work.
pub async fn giving_back_an_old_lease_has_no_effect<B: Bench>(bench: B) {
    let (store, agent, time) = (bench.open().await, id("a"), Time::begin(&bench));
    let old = Pen::take(&store, &agent).await;
    let mut new = Pen::take(&store, &agent).await;
    store.release(old.lease.clone(), true).await.expect("nothing happens");
    time.assert_held(store.acquire(&agent, OTHER, TTL, NOW).await, NOW + TTL);
    assert_eq!(store.unfinished().await, Ok(vec![agent.clone()]));
    new.write_steps(&store, 1).await;
    store.release(new.lease, true).await.expect("a lease can be given back");
    store.release(old.lease, false).await.expect("nothing happens");
    assert_eq!(store.unfinished().await, Ok(vec![]));
}

/// Sixteen holders at once: one lease, one writer.
pub async fn g5_of_racing_holders_one_gets_the_lease<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let names: Vec<String> = (0..16).map(|n| format!("node-{n}")).collect();
    let results = join_all(names.iter().map(|name| store.acquire(&agent, name, TTL, NOW))).await;
    let won: Vec<_> = results.iter().flatten().collect();
    let refused = results.iter().filter(|result| matches!(result, Err(StoreError::Held { .. }))).count();
    assert_eq!((won.len(), refused), (1, 15), "{results:?}");
    let mut pen = Pen { lease: won[0].clone(), head: Head::default() };
    pen.write_steps(&store, 1).await;
}

/// Marked while leased, and after an unclean end; in order.
pub async fn unfinished_agents_are_found_until_given_back_clean<B: Bench>(bench: B) {
    let (store, a, b) = (bench.open().await, id("a"), id("b"));
    let mut pen_b = Pen::take(&store, &b).await;
    let mut pen_a = Pen::take(&store, &a).await;
    assert_eq!(store.unfinished().await, Ok(vec![a.clone(), b.clone()]));
    pen_a.write_steps(&store, 1).await;
    pen_b.write_steps(&store, 1).await;
    store.release(pen_a.lease, true).await.expect("a lease can be given back");
    store.release(pen_b.lease, false).await.expect("a lease can be given back");
    assert_eq!(store.unfinished().await, Ok(vec![b.clone()]));
    let pen_b = Pen::take(&store, &b).await;
    store.release(pen_b.lease, true).await.expect("a lease can be given back");
    assert_eq!(store.unfinished().await, Ok(vec![]));
}

/// The process died with a lease: its agent is found, the one put away clean is not.
pub async fn unfinished_agents_are_found_after_the_death_of_the_process<B: Bench>(bench: B) {
    let (store, a, b) = (bench.open().await, id("a"), id("b"));
    let mut clean = Pen::take(&store, &a).await;
    clean.write_steps(&store, 1).await;
    store.release(clean.lease, true).await.expect("a lease can be given back");
    Pen::take(&store, &b).await.write_steps(&store, 1).await;
    drop(store);
    bench.power_cut().await;
    assert_eq!(bench.open().await.unfinished().await, Ok(vec![b]));
}
