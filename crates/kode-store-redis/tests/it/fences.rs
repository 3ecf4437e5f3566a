//! Fencing by the server itself, and what of it would be missed: the functions without a check are caught.

use std::time::{SystemTime, UNIX_EPOCH};

use kode_core::id::Epoch;
use kode_core::store::{Durability, Journal as _, Leases as _, StoreError};
use kode_testkit::servers::RedisServer;
use kode_testkit::store_suite::pen::{HOLDER, NOW, Pen, TTL, all, id, step};
use kode_testkit::store_suite::run;

use super::open;

/// Two stores, as two nodes have them: what one wrote under an older lease never arrives behind the other's.
#[test]
fn g5_a_request_that_was_held_up_arrives_behind_a_new_lease_and_is_refused() {
    let Some(server) = RedisServer::start(&[]) else { return };
    run(async {
        let (one, two) = (open(&server, "timeout_ms=300").await, open(&server, "").await);
        let mut old = Pen::take(&one, &id("a")).await;
        old.write_steps(&one, 2).await;
        let lease = two.acquire(&id("a"), HOLDER, TTL, NOW).await.expect("the same holder takes it again");
        let mut new = Pen { lease, head: old.head };
        new.write_steps(&two, 1).await;
        let batch = old.entries([(step(9), 1)]);
        let late = one.append(&old.lease, old.head.seq, &batch, Durability::Synced).await;
        assert_eq!(late, Err(StoreError::Fenced { epoch: old.epoch(), current: new.epoch() }));
        assert_eq!(all(&two, &id("a")).await.len(), 3);
    });
}

/// A failover, or a restart of a server that does not sync, took the record of a grant and all that it wrote.
#[test]
fn g4_an_epoch_whose_record_was_lost_is_not_granted_again() {
    let Some(mut server) = RedisServer::start(&["--appendfsync", "no", "--save", ""]) else { return };
    run(async {
        let query = "durability=none";
        let store = open(&server, query).await;
        let known = Pen::take(&store, &id("a")).await.epoch();
        // From here on the server forgets: what it writes is not in its log.
        server.say(&["CONFIG", "SET", "appendonly", "no"]).unwrap();
        let mut lost = Vec::new();
        for _ in 0..20 {
            lost.push(Pen::take(&store, &id("a")).await.epoch());
        }
        drop(store);
        server.start_again();
        let store = open(&server, query).await;
        let granted = server.say(&["HGET", "kode:{a}:agent", "granted"]).unwrap();
        assert!(granted.contains(&known.to_string()), "the server forgot too little: {granted}");
        let (epoch, highest) = (Pen::take(&store, &id("a")).await.epoch(), lost.into_iter().max());
        assert!(Some(epoch) > highest, "{epoch} after {highest:?}");
    });
}

/// Of a name that it knows nothing of, a server that has just begun may have lost everything.
#[test]
fn g4_a_server_that_has_just_begun_grants_far_above_what_it_may_have_lost() {
    let Some(server) = RedisServer::start(&[]) else { return };
    run(async {
        let store = open(&server, "").await;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let coarse = Epoch::grant(Epoch::ZERO, Epoch::ZERO, u64::try_from(now).unwrap());
        let first = Pen::take(&store, &id("a")).await.epoch();
        assert!(first.0 >= coarse.0 + 1_000, "{first}");
        // It knows of that one, so there is nothing to leave out.
        assert_eq!(Pen::take(&store, &id("a")).await.epoch(), Epoch(first.0 + 1));
    });
}
