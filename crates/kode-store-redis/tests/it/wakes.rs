//! Readers at another node than the owner's: woken by what the server publishes, and right without.

use std::sync::Arc;

use kode_core::store::{Catalog as _, Durability, Journal as _};
use kode_core::system::SystemClock;
use kode_store_redis::RedisStore;
use kode_testkit::servers::{RedisCluster, RedisServer};
use kode_testkit::store_suite::pen::{Pen, all, id, step};
use kode_testkit::store_suite::run;
use kode_testkit::wakes::{back_again, chunks_come_by_wakes_alone, heard, nothing_is_missed};

use super::open;

async fn open_at(url: &str) -> RedisStore {
    RedisStore::open(&url.parse().expect("it is a url")).await.expect("the server is there")
}

/// A user that may do all but what these rules take away, and its url.
fn user(server: &RedisServer, name: &str, rules: &[&str]) -> String {
    let mut words = vec!["ACL", "SETUSER", name, "on", ">secret", "~*", "&*", "+@all"];
    words.extend(rules);
    assert_eq!(server.say(&words).expect("the server answers"), "+OK\r\n");
    server.url().replace("redis://", &format!("redis://{name}:secret@"))
}

#[test]
fn a_chunk_comes_to_another_node_by_its_wake_alone() {
    let Some(server) = RedisServer::start(&[]) else { return };
    run(async {
        let (owner, reader) = (open(&server, "").await, Arc::new(open(&server, "").await));
        chunks_come_by_wakes_alone(&owner, reader.clone(), &id("a")).await;
        // And nobody else is woken: another store of the same server has agents of the same names.
        let mut watch = reader.watch(&id("a")).expect("it gives wakes");
        heard(&mut watch).await;
        let other = open(&server, "prefix=other").await;
        Pen::take(&other, &id("a")).await.write_steps(&other, 3).await;
        let woken = tokio::time::timeout(std::time::Duration::from_millis(50), watch.changed()).await;
        assert!(woken.is_err());
    });
}

/// Each at the server that its agent is at.
#[test]
fn a_chunk_comes_to_another_node_by_its_wake_alone_on_a_cluster() {
    let Some(cluster) = RedisCluster::start(3) else { return };
    run(async {
        let (owner, reader) = (open_at(&cluster.url()).await, Arc::new(open_at(&cluster.url()).await));
        for agent in ["a", "b", "c", "d", "e", "f"] {
            chunks_come_by_wakes_alone(&owner, reader.clone(), &id(agent)).await;
        }
    });
}

#[test]
fn g4_a_listener_that_is_cut_off_misses_nothing_and_listens_again() {
    let Some(server) = RedisServer::start(&[]) else { return };
    run(async {
        let (owner, reader) = (open(&server, "").await, Arc::new(open(&server, "").await));
        let mut watch = reader.watch(&id("a")).expect("it gives wakes");
        heard(&mut watch).await;
        let meanwhile = async |round: usize| {
            if round.is_multiple_of(4) {
                let killed = server.say(&["CLIENT", "KILL", "TYPE", "pubsub"]).expect("the server answers");
                assert!(killed.starts_with(':') && (round > 0 || killed != ":0\r\n"), "{killed}");
            }
        };
        let clock = Arc::new(SystemClock);
        nothing_is_missed(&owner, reader.clone(), clock, &id("a"), meanwhile).await;
        chunks_come_by_wakes_alone(&owner, reader, &id("b")).await;
    });
}

#[test]
fn g4_a_server_that_dies_and_comes_again_takes_wakes_with_it_and_brings_them_back() {
    let Some(mut server) = RedisServer::start(&[]) else { return };
    run(async {
        let (owner, reader) = (open(&server, "").await, Arc::new(open(&server, "").await));
        chunks_come_by_wakes_alone(&owner, reader.clone(), &id("a")).await;
        server.start_again();
        back_again(&owner).await;
        back_again(&*reader).await;
        chunks_come_by_wakes_alone(&owner, reader, &id("b")).await;
    });
}

/// As Redis 7 makes users: without any channel. Their appends are not refused, nor noted by the server as refusals.
#[test]
fn g1_a_user_without_channels_appends_and_reads_without_wakes() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let bare = user(&server, "bare", &["resetchannels"]);
    run(async {
        let (owner, reader) = (open_at(&bare).await, Arc::new(open_at(&bare).await));
        server.say(&["ACL", "LOG", "RESET"]).expect("the server answers");
        assert!(reader.watch(&id("a")).is_none());
        let clock = Arc::new(SystemClock);
        nothing_is_missed(&owner, reader, clock, &id("a"), async |_| {}).await;
        assert_eq!(server.say(&["ACL", "LOG"]).expect("the server answers"), "*0\r\n");
    });
}

/// One that may publish and not listen; and one whose rights are taken away while it is at work.
#[test]
fn g1_rights_that_are_lacking_or_lost_refuse_no_append() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let (deaf, robbed) = (user(&server, "deaf", &["-subscribe"]), user(&server, "robbed", &[]));
    run(async {
        let (owner, clock) = (open_at(&robbed).await, Arc::new(SystemClock));
        let mut pen = Pen::take(&owner, &id("b")).await;
        pen.write_steps(&owner, 1).await;
        for right in ["resetchannels", "-publish"] {
            assert_eq!(server.say(&["ACL", "SETUSER", "robbed", right]).expect("it answers"), "+OK\r\n");
            let batch = pen.entries([(step(2), 1)]);
            assert_eq!(pen.try_write(&owner, &batch, Durability::Synced).await, Ok(()));
        }
        assert_eq!(all(&owner, &id("b")).await.len(), 3);
        owner.delete(pen.lease).await.expect("an agent can be deleted");
        let reader = Arc::new(open_at(&deaf).await);
        nothing_is_missed(&owner, reader.clone(), clock, &id("a"), async |_| {}).await;
        assert!(!reader.watch(&id("a")).expect("it may publish").is_heard());
    });
}
