//! The index of names: it may know too much, never too little, and it mends itself.

use futures_util::future::join_all;
use kode_core::store::{Catalog as _, Leases as _};
use kode_testkit::servers::RedisServer;
use kode_testkit::store_suite::pen::{HOLDER, NOW, Pen, TTL, id};
use kode_testkit::store_suite::run;

use super::open;

/// What a writer that died between its mark and its lease leaves, or between its end and the index.
#[test]
fn a_mark_without_meaning_is_not_told_and_goes() {
    let Some(server) = RedisServer::start(&[]) else { return };
    run(async {
        let store = open(&server, "").await;
        Pen::take(&store, &id("b")).await.write_steps(&store, 1).await;
        for mark in ["kode:{*}:marks", "kode:{*}:unfinished"] {
            server.say(&["HSET", mark, "a", "7"]).unwrap();
        }
        server.say(&["ZADD", "kode:{*}:names", "0", "a"]).unwrap();
        assert_eq!(store.unfinished().await, Ok(vec![id("b")]));
        assert_eq!(server.say(&["HGET", "kode:{*}:unfinished", "a"]).unwrap(), "$-1\r\n");
        server.say(&["ZADD", "kode:{*}:names", "0", "a"]).unwrap();
        server.say(&["HSET", "kode:{*}:marks", "a", "8"]).unwrap();
        assert_eq!(store.list("", None, 10).await, Ok(vec![id("b")]));
        assert_eq!(server.say(&["ZCARD", "kode:{*}:names"]).unwrap(), ":1\r\n");
    });
}

/// The mark was settled by a reader after it was made, and before the lease was asked for.
#[test]
fn g1_no_lease_is_taken_by_a_mark_that_was_settled() {
    let Some(server) = RedisServer::start(&[]) else { return };
    run(async {
        let store = open(&server, "").await;
        let far_ahead = "4000000000000000";
        server.say(&["HSET", "kode:{a}:agent", "settled", far_ahead]).unwrap();
        let lease = store.acquire(&id("a"), HOLDER, TTL, NOW).await.expect("a new mark is made");
        let mark = server.say(&["HGET", "kode:{a}:agent", "mark"]).unwrap();
        assert!(mark.contains("4000000000000001"), "{mark}");
        assert_eq!(server.say(&["HGET", "kode:{*}:unfinished", "a"]).unwrap(), mark);
        store.release(lease, true).await.expect("a lease can be given back");
        assert_eq!(store.unfinished().await, Ok(vec![]));
    });
}

/// A failover of the index's node took what it had not passed on.
#[test]
fn what_the_index_lost_comes_back() {
    let Some(server) = RedisServer::start(&[]) else { return };
    run(async {
        let store = open(&server, "").await;
        let mut pens = Vec::new();
        for name in ["a", "b", "c"] {
            let mut pen = Pen::take(&store, &id(name)).await;
            pen.write_steps(&store, 1).await;
            pens.push(pen);
        }
        let c = pens.pop().expect("there are three");
        store.release(c.lease, true).await.expect("a lease can be given back");
        for key in ["mark", "names", "marks", "unfinished"] {
            server.say(&["DEL", &format!("kode:{{*}}:{key}")]).unwrap();
        }
        assert_eq!(store.unfinished().await, Ok(vec![]));
        store.renew(&pens[0].lease, TTL, NOW).await.expect("the lease is in force");
        assert_eq!(store.unfinished().await, Ok(vec![id("a")]));
        assert_eq!(store.list("", None, 10).await, Ok(vec![id("a")]));
        assert_eq!(store.rebuild_index().await, Ok(3));
        assert_eq!(store.unfinished().await, Ok(vec![id("a"), id("b")]));
        assert_eq!(store.list("", None, 10).await, Ok(vec![id("a"), id("b"), id("c")]));
    });
}

/// Writers come and go while readers mend: whoever has work is found at every moment.
#[test]
fn g1_readers_that_mend_hide_no_unfinished_agent() {
    let Some(server) = RedisServer::start(&["--appendfsync", "no"]) else { return };
    run(async {
        let store = open(&server, "durability=none").await;
        let names: Vec<String> = (0..8).map(|number| format!("agent-{number}")).collect();
        let writers = names.iter().map(async |name| {
            for round in 0..25 {
                let mut pen = Pen::take(&store, &id(name)).await;
                let unfinished = store.unfinished().await.expect("agents can be listed");
                assert!(unfinished.contains(&id(name)), "{name} is not found");
                pen.write_steps(&store, 1).await;
                let listed = store.list("", None, 100).await.expect("agents can be listed");
                assert!(listed.contains(&id(name)), "{name} is not listed");
                if round % 3 == 2 {
                    store.delete(pen.lease).await.expect("an agent can be deleted");
                } else {
                    store.release(pen.lease, true).await.expect("a lease can be given back");
                }
            }
        });
        join_all(writers).await;
        assert_eq!(store.unfinished().await, Ok(vec![]));
        assert_eq!(store.list("", None, 100).await.map(|all| all.len()), Ok(8));
    });
}

#[test]
fn stores_of_different_prefixes_share_nothing() {
    let Some(server) = RedisServer::start(&[]) else { return };
    run(async {
        let (one, two) = (open(&server, "prefix=one").await, open(&server, "prefix=two").await);
        Pen::take(&one, &id("a")).await.write_steps(&one, 1).await;
        assert_eq!(two.list("", None, 10).await, Ok(vec![]));
        assert_eq!(two.unfinished().await, Ok(vec![]));
        assert_eq!(two.holder(&id("a"), NOW).await, Ok(None));
        assert_eq!(Pen::take(&two, &id("a")).await.head.seq.0, 0);
    });
}
