//! Several nodes on one store: what one leaves, another takes up, and nobody else is in its way.

use std::sync::Arc;
use std::time::Duration;

use kode_core::clock::Clock as _;
use kode_core::event::{DoneReason, Envelope, Event};
use kode_core::hub::Subscription;
use kode_core::id::Cursor;
use kode_core::store::{Holder, Leases, Node, Nodes, StoreError};
use kode_pool::{Pool, PoolError};
use kode_testkit::faulty::{Op, When};
use kode_testkit::scripted_model::Script;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::world::{World, careful, dones, id, made, plain, until};

/// How long a node of these tests holds an agent.
const LEASE: u64 = 3_000;

/// A node at work, with its watch.
struct Running {
    pool: Pool,
    watch: JoinHandle<()>,
}

impl Running {
    fn start(world: &World, name: &str) -> Self {
        let pool = world.node(name, LEASE);
        let watch = tokio::spawn({
            let (pool, node) = (pool.clone(), node(name));
            async move { pool.keep_watch(node.url, node.mark).await }
        });
        Self { pool, watch }
    }
}

fn node(id: &str) -> Node {
    Node { id: id.into(), url: format!("http://{id}"), mark: format!("mark of {id}") }
}

async fn holder(world: &World, name: &str) -> Option<Holder> {
    world.store.holder(&id(name), world.clock.now()).await.unwrap()
}

async fn seconds(world: &World, secs: u64) {
    world.pass(Duration::from_secs(secs)).await;
}

/// A node that had the agent, and is gone without a word: its runtime is dropped with all its tasks.
async fn dead_node_with(world: &World, agent: &'static str) -> Cursor {
    let (pool, gate) = (world.node("dead", LEASE), world.gate.clone());
    // A runtime of its own, so that its tasks end with it as a process's do.
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let sent = pool.send(&id(agent), plain(), "work".into()).await.unwrap();
            gate.arrived().await;
            sent.cursor
        })
    };
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test]
async fn g1_what_a_dead_node_left_is_taken_up_by_one_living_node() {
    let world = World::held();
    let nodes = ["a", "b", "c"].map(|name| Running::start(&world, name));
    seconds(&world, 1).await;
    let sent = dead_node_with(&world, "x").await;
    world.gate.open();
    seconds(&world, 2).await;
    assert!(nodes.iter().all(|node| !node.pool.is_resident(&id("x"))), "its lease lasts");
    seconds(&world, 6).await;
    let having: Vec<_> = nodes.iter().filter(|node| node.pool.is_resident(&id("x"))).collect();
    assert_eq!(having.len(), 1, "one has it");
    assert_eq!(holder(&world, "x").await.unwrap().holder, having[0].pool.runtime().holder());
    assert_eq!(dones(&having[0].pool, "x", sent).await, [DoneReason::Completed]);
    assert_eq!(world.times_opened(), 2, "by the dead one and by one of the others: nobody raced");
}

#[tokio::test]
async fn an_agent_whose_first_node_cannot_take_it_goes_to_the_next() {
    let world = World::held();
    let sent = dead_node_with(&world, "x").await;
    world.gate.open();
    // These know none of the templates; this one does.
    let other = || kode_core::template::Template::new("other", "");
    let strangers: Vec<_> = ["s", "t", "u"].map(|name| world.node_with(name, LEASE, [other()])).into();
    for stranger in &strangers {
        let stranger = stranger.clone();
        tokio::spawn(async move { stranger.keep_watch(String::new(), String::new()).await });
    }
    let able = Running::start(&world, "able");
    seconds(&world, 12).await;
    assert!(able.pool.is_resident(&id("x")));
    assert_eq!(dones(&able.pool, "x", sent).await, [DoneReason::Completed]);
}

#[tokio::test]
async fn g5_a_node_that_holds_its_agents_is_left_alone() {
    let world = World::held();
    let (a, b) = (Running::start(&world, "a"), Running::start(&world, "b"));
    a.pool.send(&id("x"), plain(), "work".into()).await.unwrap();
    world.gate.arrived().await;
    made(&a.pool, "idle").await;
    seconds(&world, 30).await;
    assert_eq!(b.pool.stats().resident, 0);
    assert_eq!(holder(&world, "x").await.unwrap().holder, "a");
    let refused = b.pool.send(&id("x"), plain(), "more".into()).await;
    assert!(
        matches!(refused, Err(PoolError::Store(StoreError::Held { ref holder, .. })) if holder == "a"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn g5_an_owner_that_slept_too_long_is_refused_and_lets_go() {
    let world = World::held();
    let a = world.node("a", LEASE);
    a.send(&id("x"), plain(), "work".into()).await.unwrap();
    world.gate.arrived().await;
    let agent = a.get(&id("x")).await.unwrap();
    // It is stopped: its lease ends with nobody to renew it, and another takes the agent.
    let now = world.clock.now() + LEASE + 1;
    let taken = world.store.acquire(&id("x"), "b", LEASE, now).await.unwrap();
    world.clock.advance(LEASE + 1);
    until_gone(&agent).await;
    assert!(!a.is_resident(&id("x")));
    world.store.renew(&taken, LEASE, now).await.expect("the new owner was not disturbed");
}

async fn until_gone(agent: &kode_core::Agent) {
    while !agent.is_gone() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_node_that_drains_gives_its_work_to_the_others_at_once() {
    let world = World::held();
    let (a, b) = (Running::start(&world, "a"), Running::start(&world, "b"));
    seconds(&world, 1).await;
    let there = |ids: &[&str]| -> Vec<Node> { ids.iter().map(|id| node(id)).collect() };
    assert_eq!(world.store.nodes(world.clock.now()).await.unwrap(), there(&["a", "b"]));
    let sent = a.pool.send(&id("x"), plain(), "work".into()).await.unwrap();
    world.gate.arrived().await;
    let ending = tokio::spawn(async move { a.pool.shutdown(Duration::ZERO).await });
    while !ending.is_finished() {
        seconds(&world, 1).await;
    }
    assert_eq!(ending.await.unwrap().unfinished, 1);
    assert_eq!(world.store.nodes(world.clock.now()).await.unwrap(), there(&["b"]));
    a.watch.await.unwrap();
    world.gate.open();
    seconds(&world, 3).await;
    assert_eq!(dones(&b.pool, "x", sent.cursor).await, [DoneReason::Completed]);
}

#[tokio::test]
async fn g6_what_waits_for_a_person_is_left_asleep_and_decided_through_any_node() {
    let scripts = [Script::new().call("slow", json!({})), Script::new().text("done")];
    let world = World::playing(scripts);
    world.gate.open();
    let first = world.node("first", LEASE);
    first.send(&id("x"), careful(), "work".into()).await.unwrap();
    let agent = first.get(&id("x")).await.unwrap();
    until(&agent, |view| !view.approvals.is_empty()).await;
    first.shutdown(Duration::ZERO).await;
    let (a, b) = (Running::start(&world, "a"), Running::start(&world, "b"));
    seconds(&world, 10).await;
    assert!(!a.pool.is_resident(&id("x")) && !b.pool.is_resident(&id("x")));
    let (of_a, of_b) = (a.pool.approvals(&[""]).await.unwrap(), b.pool.approvals(&[""]).await.unwrap());
    assert!(of_a.len() == 1 && of_a == of_b);
    let call = of_b[0].1.call.id.clone();
    let allow = |agent: kode_core::Agent| {
        let call = call.clone();
        async move { agent.decide(&call, kode_core::call::Decision::Allow, "ann", None).await }
    };
    b.pool.ask(&id("x"), allow).await.unwrap();
    assert_eq!(dones(&b.pool, "x", Cursor::ZERO).await, [DoneReason::Completed]);
    assert_eq!(a.pool.approvals(&[""]).await.unwrap(), []);
}

/// A node whose store is away for longer than its leases: it takes nothing on, and comes back by itself.
#[tokio::test]
async fn a_node_without_its_store_comes_back_by_itself() {
    let world = World::held();
    let a = Running::start(&world, "a");
    seconds(&world, 1).await;
    for op in [Op::Announce, Op::Nodes, Op::Unfinished] {
        world.faults.fail_all(op, When::Before, StoreError::Unavailable("away".into()));
    }
    seconds(&world, 20).await;
    world.faults.mend();
    assert_eq!(world.store.nodes(world.clock.now()).await.unwrap(), []);
    seconds(&world, 3).await;
    let there = node("a");
    assert_eq!(world.store.nodes(world.clock.now()).await.unwrap(), [there]);
    made(&a.pool, "x").await;
}

/// What a reader at another node has seen, once the agent is at rest.
async fn read_to_the_rest(events: &mut Subscription) -> Vec<Arc<Envelope>> {
    let mut seen = Vec::new();
    loop {
        let envelope = events.next().await.unwrap().unwrap();
        let rests = matches!(&envelope.event, Event::Done { at_rest: true, .. });
        seen.push(envelope);
        if rests {
            return seen;
        }
    }
}

#[tokio::test]
async fn g4_a_reader_at_another_node_sees_each_event_once_as_it_is_written() {
    let world = World::held();
    let (a, b) = (world.node("a", LEASE), world.node("b", LEASE));
    let mut before = b.runtime().subscription(&id("x"), Cursor::ZERO);
    let sent = a.send(&id("x"), plain(), "work".into()).await.unwrap();
    world.gate.arrived().await;
    let mut behind = b.runtime().subscription(&id("x"), sent.cursor);
    // What there is so far comes while the run still waits.
    let first = next(&world, &mut behind).await;
    assert!(first.cursor > sent.cursor);
    world.gate.open();
    let passing = tokio::spawn({
        let clock = world.clock.clone();
        async move {
            loop {
                clock.advance(10);
                tokio::task::yield_now().await;
            }
        }
    });
    let (all, rest) = tokio::join!(read_to_the_rest(&mut before), read_to_the_rest(&mut behind));
    let mut told = a.runtime().subscription(&id("x"), Cursor::ZERO);
    let here = read_to_the_rest(&mut told).await;
    assert_eq!(all, here, "the other node's readers see what the owner's do");
    assert_eq!(rest, here[here.len() - rest.len()..]);
    // The same reader goes on when the agent comes here, and when it goes again.
    a.shutdown(Duration::ZERO).await;
    b.send(&id("x"), plain(), "again".into()).await.unwrap();
    let second = read_to_the_rest(&mut before).await;
    b.shutdown(Duration::ZERO).await;
    let c = world.node("c", LEASE);
    c.send(&id("x"), plain(), "and again".into()).await.unwrap();
    let third = read_to_the_rest(&mut before).await;
    let mut told = c.runtime().subscription(&id("x"), here.last().unwrap().cursor);
    let mut since = read_to_the_rest(&mut told).await;
    since.extend(read_to_the_rest(&mut told).await);
    assert_eq!([second, third].concat(), since);
    // It is deleted there, and its readers end here as well.
    c.delete(&id("x"), true).await.unwrap();
    assert_eq!(before.next().await, Ok(None));
    passing.abort();
}

/// The next event, with time passing until it is there.
async fn next(world: &World, events: &mut Subscription) -> Arc<Envelope> {
    loop {
        if let Some(envelope) = events.next_ready().await.unwrap() {
            return envelope;
        }
        seconds(world, 1).await;
    }
}
