//! Readers at a node that does not drive their agent: woken where the store gives wakes, and right whatever becomes of
//! those.

use std::sync::Arc;
use std::time::Duration;

use kode_core::id::Millis;
use kode_core::store::Catalog as _;
use kode_testkit::clock::SimClock;
use kode_testkit::store_suite::pen::{Pen, id};
use kode_testkit::wakes::{
    Elsewhere, Manner, NoPolls, Waking, chunks_come_by_wakes_alone, each_in_turn, next, nothing_is_missed,
};

/// A clock that goes on by itself, whenever everybody else had a turn.
fn quick() -> Arc<SimClock> {
    let clock = Arc::new(SimClock::default());
    let going = Arc::downgrade(&clock);
    tokio::spawn(async move {
        while let Some(clock) = going.upgrade() {
            clock.advance(1);
            drop(clock);
            tokio::task::yield_now().await;
        }
    });
    clock
}

/// Moves time on, and lets the follower do what it does then.
async fn pass(clock: &SimClock, step: Millis, times: usize) {
    for _ in 0..times {
        clock.advance(step);
        settle().await;
    }
}

async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn each_chunk_comes_by_its_wake_and_the_end_as_well() {
    let store = Waking::new(Manner::Faithful);
    chunks_come_by_wakes_alone(&store, Arc::new(store.clone()), &id("a")).await;
    let mut pen = Pen::take(&store, &id("b")).await;
    pen.write_steps(&store, 1).await;
    let node = Elsewhere::on(Arc::new(store.clone()), Arc::new(NoPolls));
    let mut events = node.read(&id("b"));
    next(&mut events).await;
    // The follower's first look.
    settle().await;
    each_in_turn(&store, &mut pen, &mut events, 3).await;
    store.delete(pen.lease).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(60), events.next()).await;
    assert!(ended.unwrap().unwrap().is_none());
}

/// Lost without a word, doubled, early, for others; and with hearing that ends and begins in between.
#[tokio::test]
async fn g4_nothing_is_missed_whatever_becomes_of_wakes() {
    for manner in [Manner::Faithful, Manner::Lost, Manner::Wild] {
        for breaks in [false, true] {
            let store = Waking::new(manner);
            let meanwhile = async |round: usize| {
                if breaks && round.is_multiple_of(3) {
                    store.board().deafen();
                    tokio::task::yield_now().await;
                    store.board().hear_all();
                }
            };
            nothing_is_missed(&store, Arc::new(store.clone()), quick(), &id("a"), meanwhile).await;
        }
    }
}

#[tokio::test]
async fn an_idle_agent_is_asked_for_seldom_as_long_as_wakes_come() {
    let (store, clock) = (Waking::new(Manner::Faithful), Arc::new(SimClock::default()));
    Pen::take(&store, &id("a")).await.write_steps(&store, 1).await;
    let node = Elsewhere::on(Arc::new(store.clone()), clock.clone());
    let mut events = node.read(&id("a"));
    next(&mut events).await;
    let asked = async |times| {
        settle().await;
        let before = node.asked.count();
        pass(&clock, 50, times).await;
        node.asked.count() - before
    };
    assert!((4..=6).contains(&asked(100).await), "once a second for five seconds");
    store.board().deafen();
    assert!((95..=105).contains(&asked(100).await), "each time, as it is without wakes");
    store.board().hear_all();
    assert!((4..=6).contains(&asked(100).await));
}

/// As from a node of a version that gives none: its chunks are late once, and then no later than without wakes.
#[tokio::test]
async fn a_move_that_no_wake_told_of_has_the_follower_ask_often_until_one_comes() {
    let (store, clock) = (Waking::new(Manner::Lost), Arc::new(SimClock::default()));
    let mut pen = Pen::take(&store, &id("a")).await;
    pen.write_steps(&store, 1).await;
    let node = Elsewhere::on(Arc::new(store.clone()), clock.clone());
    let mut events = node.read(&id("a"));
    next(&mut events).await;
    pass(&clock, 10, 10).await;
    let first = pen.write_chunk(&store, "late", 1).await;
    pass(&clock, 10, 50).await;
    assert!(events.next_ready().await.unwrap().is_none(), "nobody has asked");
    pass(&clock, 10, 50).await;
    assert_eq!(events.next_ready().await.unwrap().unwrap().cursor, first[0].cursor);
    for _ in 0..10 {
        let chunk = pen.write_chunk(&store, "in time", 1).await;
        pass(&clock, 10, 3).await;
        assert_eq!(events.next_ready().await.unwrap().unwrap().cursor, chunk[0].cursor);
    }
    store.board().wake("a");
    pass(&clock, 10, 3).await;
    let before = node.asked.count();
    pass(&clock, 10, 50).await;
    assert_eq!(node.asked.count(), before, "wakes are relied on again");
}

#[tokio::test]
async fn an_agent_is_watched_as_long_as_somebody_reads_it_here() {
    let (store, clock) = (Waking::new(Manner::Faithful), Arc::new(SimClock::default()));
    let node = Elsewhere::on(Arc::new(store.clone()), clock.clone());
    let (one, other) = (node.read(&id("a")), node.read(&id("a")));
    settle().await;
    assert_eq!(store.board().watched().len(), 1);
    drop((one, other));
    pass(&clock, 1_000, 2).await;
    assert_eq!(store.board().watched().len(), 0);
}
