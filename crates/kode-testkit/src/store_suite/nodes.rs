//! Cases: which nodes there are, and who holds an agent.

use kode_core::store::{Abandoned, Catalog, Head, Holder, Leases, Node, Nodes};

use super::Bench;
use super::pen::{HOLDER, NOW, Pen, TTL, id};
use super::time::Time;

fn node(id: &str, url: &str) -> Node {
    Node { id: id.into(), url: url.into(), mark: format!("mark-of-{url}") }
}

/// In the order of their ids, each with its newest url.
pub async fn nodes_are_found_while_they_are_there<B: Bench>(bench: B) {
    let store = bench.open().await;
    assert_eq!(store.nodes(NOW).await, Ok(vec![]));
    let (b, a) = (node("node-b", "http://b:1"), node("node-a", "http://a:1"));
    for node in [&b, &a] {
        store.announce(node, TTL, NOW).await.expect("a node can be announced");
    }
    assert_eq!(store.nodes(NOW).await, Ok(vec![a.clone(), b.clone()]));
    let moved = node("node-a", "http://a:2");
    store.announce(&moved, TTL, NOW).await.expect("a node can be announced");
    assert_eq!(store.nodes(NOW).await, Ok(vec![moved.clone(), b]));
    store.withdraw("node-b").await.expect("a node can go");
    store.withdraw("nobody").await.expect("nobody can go");
    assert_eq!(store.nodes(NOW).await, Ok(vec![moved]));
    assert_eq!(store.list("", None, 10).await, Ok(vec![]));
}

/// And one that says again that it is there stays.
pub async fn a_node_that_says_nothing_is_forgotten<B: Bench>(bench: B) {
    let (store, time) = (bench.open().await, Time::begin(&bench));
    let (silent, alive) = (node("node-a", "http://a"), node("node-b", "http://b"));
    store.announce(&alive, time.ttl(), NOW).await.expect("a node can be announced");
    let announce = async |ttl, now| {
        store.announce(&silent, ttl, now).await.expect("a node can be announced");
        store.announce(&alive, ttl + TTL, now).await.expect("a node can be announced");
    };
    let left = async |(): &(), now| {
        let nodes = store.nodes(now).await.expect("nodes can be listed");
        (!nodes.contains(&silent)).then_some(nodes)
    };
    assert_eq!(time.end(announce, left).await.1, [alive]);
}

/// Without taking it, whoever asks.
pub async fn the_holder_of_an_agent_is_told<B: Bench>(bench: B) {
    let (store, agent, time) = (bench.open().await, id("a"), Time::begin(&bench));
    assert_eq!(store.holder(&agent, NOW).await, Ok(None));
    let mut pen = Pen::take(&store, &agent).await;
    for _ in 0..2 {
        let told = store.holder(&agent, NOW).await.expect("the holder is told").expect("there is one");
        time.assert_end(told.expires, NOW + TTL);
        let holder = Holder { holder: HOLDER.into(), epoch: pen.epoch(), expires: told.expires };
        assert_eq!(told, holder);
        pen.write_steps(&store, 1).await;
    }
    store.release(pen.lease, true).await.expect("a lease can be given back");
    assert_eq!(store.holder(&agent, NOW).await, Ok(None));
    let pen = Pen::take(&store, &agent).await;
    store.delete(pen.lease).await.expect("an agent can be deleted");
    assert_eq!(store.holder(&agent, NOW).await, Ok(None));
    assert_eq!(store.unfinished().await, Ok(vec![]));
}

/// Its agent is still among the unfinished, for others to take.
pub async fn a_lease_that_has_ended_has_no_holder<B: Bench>(bench: B) {
    let (store, agent, time) = (bench.open().await, id("a"), Time::begin(&bench));
    let take = async |ttl, now| store.acquire(&agent, HOLDER, ttl, now).await.expect("the lease is free");
    let gone = async |_: &_, now| {
        let holder = store.holder(&agent, now).await.expect("the holder is told");
        holder.is_none().then_some(())
    };
    let (lease, ()) = time.end(take, gone).await;
    assert_eq!(store.unfinished().await, Ok(vec![agent.clone()]));
    // It was looked at only: nobody else has it, so its holder may go on.
    store.renew(&lease, TTL, NOW).await.expect("nobody took it");
    assert!(store.holder(&agent, NOW).await.expect("the holder is told").is_some());
}

/// What nobody holds, with the end of its journal: also while its mark says no more than that it was held.
pub async fn abandoned_agents_are_those_whose_lease_is_over<B: Bench>(bench: B) {
    let (store, time) = (bench.open().await, Time::begin(&bench));
    let (held, left, clean, dead) = (id("held"), id("left"), id("clean"), id("dead"));
    let mut writing = Pen::take(&store, &held).await;
    writing.write_steps(&store, 1).await;
    let mut leaving = Pen::take(&store, &left).await;
    leaving.write_steps(&store, 2).await;
    let head = leaving.head;
    let pen = Pen::take(&store, &clean).await;
    assert_eq!(store.abandoned(NOW).await, Ok(vec![]));
    store.release(leaving.lease, false).await.expect("a lease can be given back");
    store.release(pen.lease, true).await.expect("a lease can be given back");
    let of_left = Abandoned { agent: left.clone(), head };
    assert_eq!(store.abandoned(NOW).await, Ok(vec![of_left.clone()]));
    let take = async |ttl, now| store.acquire(&dead, HOLDER, ttl, now).await.expect("the lease is free");
    let ended = async |_: &_, now| {
        let abandoned = store.abandoned(now).await.expect("what nobody holds can be listed");
        abandoned.iter().any(|found| found.agent == dead).then_some(abandoned)
    };
    let (_, abandoned) = time.end(take, ended).await;
    let of_dead = Abandoned { agent: dead, head: Head::default() };
    // By a clock of the callers' the other one is over as well, at the end of the same time.
    let others = abandoned.into_iter().filter(|found| found.agent != held);
    assert_eq!(others.collect::<Vec<_>>(), [of_dead, of_left]);
}
