//! What a server must be, and what is said where it is not: persistence, room, replicas, other programs' keys.

use std::time::Duration;

use kode_core::id::Cursor;
use kode_core::store::counters::Day;
use kode_core::store::{
    After, Blobs as _, Catalog as _, Checkpoints as _, Durability, Journal as _, Leases as _, Node,
    Nodes as _, StoreError, StoreResult,
};
use kode_store_redis::RedisStore;
use kode_testkit::servers::RedisServer;
use kode_testkit::store_suite::blobs::name;
use kode_testkit::store_suite::checkpoints::checkpoint;
use kode_testkit::store_suite::pen::{HOLDER, NOW, Pen, TTL, all, id, step};
use kode_testkit::store_suite::run;
use kode_testkit::wakes::heard;

use super::{open, signal, try_open};

fn unavailable<T: std::fmt::Debug>(told: StoreResult<T>) -> String {
    match told {
        Err(StoreError::Unavailable(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn g1_a_server_that_may_forget_is_refused_until_that_is_accepted() {
    let Some(server) = RedisServer::start(&["--appendfsync", "everysec"]) else { return };
    run(async {
        let why = unavailable(try_open(&server, "").await.map(drop));
        assert!(why.contains("appendfsync always") && why.contains("?durability=everysec"), "{why}");
        open(&server, "durability=everysec").await;
        server.say(&["CONFIG", "SET", "appendonly", "no"]).unwrap();
        let why = unavailable(try_open(&server, "durability=everysec").await.map(drop));
        assert!(why.contains("?durability=none"), "{why}");
        let store = open(&server, "durability=none").await;
        assert_eq!(store.ready().await, Ok(()));
    });
}

#[test]
fn g1_a_server_that_is_weakened_later_is_no_longer_ready() {
    let Some(server) = RedisServer::start(&[]) else { return };
    run(async {
        let store = open(&server, "").await;
        assert_eq!(store.ready().await, Ok(()));
        server.say(&["CONFIG", "SET", "appendfsync", "no"]).unwrap();
        assert!(unavailable(store.ready().await).contains("appendfsync always"));
    });
}

/// A full server refuses what takes room and keeps what it has; reading and deleting go on.
#[test]
fn g7_a_full_server_refuses_messages_and_loses_nothing() {
    let Some(server) = RedisServer::start(&[]) else { return };
    run(async {
        let store = open(&server, "").await;
        let mut pen = Pen::take(&store, &id("a")).await;
        let written = pen.write_steps(&store, 3).await;
        server.say(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
        let batch = pen.entries([(step(9), 1)]);
        let full =
            |told: &StoreResult<()>| matches!(told, Err(StoreError::Full(why)) if why.contains("room"));
        let appended = pen.try_write(&store, &batch, Durability::Synced).await;
        assert!(full(&appended), "{appended:?}");
        let kept = store.put_blob(&pen.lease, &name("b"), &"x".into()).await;
        assert!(full(&kept), "{kept:?}");
        assert!(full(&store.ready().await));
        assert_eq!(all(&store, &id("a")).await, written);
        let store = open(&server, "").await;
        assert_eq!(store.list("", None, 10).await, Ok(vec![id("a")]));
        // An agent that nobody has in memory can be deleted as well, and one that was not there is not made.
        store.release(pen.lease, false).await.expect("a lease can be given back");
        let lease = store.acquire(&id("a"), HOLDER, TTL, NOW).await.expect("a full server grants leases");
        let lease = store.renew(&lease, TTL, NOW).await.expect("and prolongs them");
        store.delete(lease).await.expect("deleting needs no room");
        assert_eq!(store.list("", None, 10).await, Ok(vec![]));
        server.say(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
        Pen::take(&store, &id("a")).await.write_steps(&store, 1).await;
    });
}

/// What docs/scaling.md says that the store's user must be allowed to do is enough.
#[test]
fn the_documented_rights_are_enough_and_config_is_not_needed_where_the_url_says() {
    const PAGE: &str = include_str!("../../../../docs/scaling.md");
    let Some(server) = RedisServer::start(&[]) else { return };
    let rules = PAGE.lines().find(|line| line.starts_with("~kode:* ")).expect("the page has the rules");
    let user = |name: &str, rules: &str| {
        let words: Vec<&str> =
            ["ACL", "SETUSER", name, "on", ">secret"].into_iter().chain(rules.split(' ')).collect();
        assert_eq!(server.say(&words).unwrap(), "+OK\r\n");
        server.url().replace("redis://", &format!("redis://{name}:secret@"))
    };
    let (full, silent) = (user("full", rules), user("silent", &rules.replace(" +config|get", "")));
    run(async {
        let why = unavailable(RedisStore::open(&silent.parse().unwrap()).await.map(drop));
        assert!(why.contains("CONFIG is refused") && !why.contains("secret"), "{why}");
        for url in [full, format!("{silent}?durability=always")] {
            let store = RedisStore::open(&url.parse().unwrap()).await.expect("the rights are enough");
            heard(&mut store.watch(&id("a")).expect("it may publish")).await;
            let mut pen = Pen::take(&store, &id("a")).await;
            pen.write_steps(&store, 3).await;
            store.save_checkpoint(&pen.lease, &checkpoint(3, "x")).await.expect("a checkpoint can be saved");
            store.elide(&pen.lease, &[]).await.expect("nothing can be elided");
            store.put_blob(&pen.lease, &name("b"), &"x".into()).await.expect("a blob can be kept");
            assert!(store.read_blob(&id("a"), &name("b"), 0, 9).await.expect("a blob can be read").is_some());
            assert!(store.load_checkpoint(&id("a")).await.expect("a checkpoint can be loaded").is_some());
            store.read(&id("a"), After::Cursor(Cursor::ZERO), 10).await.expect("the journal can be read");
            store
                .announce(&Node { id: "n".into(), url: "u".into(), mark: String::new() }, TTL, NOW)
                .await
                .expect("a node can be told");
            assert_eq!(store.nodes(NOW).await.map(|nodes| nodes.len()), Ok(1));
            store.withdraw("n").await.expect("a node can go");
            let counters = store.counters().expect("it counts");
            counters.add("key", Day(20_000), 1).await.expect("it is counted");
            assert_eq!((store.ready().await, store.rebuild_index().await), (Ok(()), Ok(1)));
            assert_eq!(store.unfinished().await, store.list("", None, 10).await);
            store.renew(&pen.lease, TTL, NOW).await.expect("the lease is in force");
            store.delete(pen.lease).await.expect("an agent can be deleted");
            assert_eq!(store.list("", None, 10).await, Ok(vec![]));
        }
    });
}

/// The handshake needs a provider of cryptography, which the store chooses itself; a server without TLS ends it.
#[test]
fn tls_is_asked_for_where_the_url_says_and_a_plain_server_is_none() {
    let Some(server) = RedisServer::start(&[]) else { return };
    run(async {
        let url = format!("{}?timeout_ms=500", server.url().replace("redis://", "rediss://"));
        let refused = RedisStore::open(&url.parse().unwrap()).await.map(drop);
        assert!(!unavailable(refused).is_empty());
    });
}

#[test]
fn a_replica_is_refused_and_one_that_a_master_became_is_unavailable() {
    let (Some(master), Some(server)) = (RedisServer::start(&[]), RedisServer::start(&[])) else { return };
    run(async {
        let store = open(&server, "").await;
        let mut pen = Pen::take(&store, &id("a")).await;
        pen.write_steps(&store, 1).await;
        server.say(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]).unwrap();
        let batch = pen.entries([(step(2), 1)]);
        let refused = store.append(&pen.lease, pen.head.seq, &batch, Durability::Synced).await;
        assert!(unavailable(refused).contains("replica"));
        assert!(unavailable(try_open(&server, "").await.map(drop)).contains("replica"));
    });
}

#[test]
fn keys_of_another_program_or_a_later_version_are_told_apart() {
    let Some(server) = RedisServer::start(&[]) else { return };
    run(async {
        let store = open(&server, "prefix=mine").await;
        server.say(&["SET", "mine:{a}:agent", "not a hash"]).unwrap();
        let refused = store.acquire(&id("a"), HOLDER, TTL, NOW).await;
        assert!(
            matches!(&refused, Err(StoreError::Incompatible(why)) if why.contains("?prefix=")),
            "{refused:?}"
        );
        server.say(&["SET", "later:{*}:format", "99"]).unwrap();
        let refused = try_open(&server, "prefix=later").await.map(drop);
        assert!(matches!(&refused, Err(StoreError::Incompatible(why)) if why.contains("99")), "{refused:?}");
        server.say(&["ZADD", "mine:{b}:log", "1", "no entry"]).unwrap();
        let read = store.read(&id("b"), After::Seq(kode_core::id::Seq::ZERO), 10).await;
        assert!(matches!(&read, Err(StoreError::Damaged(damage)) if damage.agent == id("b")), "{read:?}");
    });
}

/// A server that is there and says nothing: each request ends in its time, and all is well when it answers again.
#[test]
fn a_server_that_hangs_is_unavailable_in_time() {
    let Some(server) = RedisServer::start(&[]) else { return };
    run(async {
        let store = open(&server, "timeout_ms=300").await;
        let mut pen = Pen::take(&store, &id("a")).await;
        signal("-STOP", server.process_id());
        let began = std::time::Instant::now();
        let batch = pen.entries([(step(1), 1)]);
        let unknown = store.append(&pen.lease, pen.head.seq, &batch, Durability::Synced).await;
        assert!(unavailable(unknown).contains("300ms"));
        assert!(began.elapsed() < Duration::from_secs(10));
        signal("-CONT", server.process_id());
        // What was under way takes place now, or was refused for good: the journal says which.
        let pen_again = Pen::take(&store, &id("a")).await;
        let there = all(&store, &id("a")).await;
        assert!(there == batch || there.is_empty(), "{there:?}");
        pen = pen_again;
        pen.write_steps(&store, 1).await;
        assert_eq!(all(&store, &id("a")).await.len(), there.len() + 1);
    });
}
