//! Readers at another node than the owner's: woken by what the database notifies, and right without.

use std::sync::Arc;

use kode_core::store::{Journal as _, Node, Nodes as _};
use kode_core::system::SystemClock;
use kode_store_postgres::PgStore;
use kode_testkit::servers::PostgresServer;
use kode_testkit::store_suite::pen::{NOW, Pen, TTL, id};
use kode_testkit::store_suite::run;
use kode_testkit::wakes::{back_again, chunks_come_by_wakes_alone, heard, nothing_is_missed};
use sqlx::postgres::PgListener;

use crate::server::start;

#[test]
fn a_chunk_comes_to_another_node_by_its_wake_alone() {
    let Some(server) = start(&[]) else { return };
    run(async {
        let (owner, reader) = (server.store().await, Arc::new(server.store().await));
        chunks_come_by_wakes_alone(&owner, reader.clone(), &id("a")).await;
        // And nobody else is woken: another store of the same database has agents of the same names.
        let mut watch = reader.watch(&id("a")).expect("it gives wakes");
        heard(&mut watch).await;
        let other = server.store_with("schema=other").await;
        Pen::take(&other, &id("a")).await.write_steps(&other, 3).await;
        let woken = tokio::time::timeout(std::time::Duration::from_millis(50), watch.changed()).await;
        assert!(woken.is_err());
    });
}

#[test]
fn g4_a_listener_that_is_cut_off_misses_nothing_and_listens_again() {
    const CUT: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'";
    let Some(server) = start(&[]) else { return };
    run(async {
        let (owner, reader) = (server.store().await, Arc::new(server.store().await));
        let mut watch = reader.watch(&id("a")).expect("it gives wakes");
        heard(&mut watch).await;
        let meanwhile = async |round: usize| {
            if round.is_multiple_of(4) {
                server.sql(CUT).await;
            }
            if round == 0 {
                while watch_is_heard(&reader).await {
                    tokio::task::yield_now().await;
                }
            }
        };
        let clock = Arc::new(SystemClock);
        nothing_is_missed(&owner, reader.clone(), clock, &id("a"), meanwhile).await;
        chunks_come_by_wakes_alone(&owner, reader.clone(), &id("b")).await;
        server.process().kill_9();
        server.process().again();
        back_again(&owner).await;
        back_again(&*reader).await;
        chunks_come_by_wakes_alone(&owner, reader.clone(), &id("c")).await;
    });
}

async fn watch_is_heard(store: &PgStore) -> bool {
    store.watch(&id("a")).is_some_and(|watch| watch.is_heard())
}

/// Where the URL says that there is one, no session listens; what is told through it reaches those that do.
#[test]
fn behind_a_proxy_that_pools_transactions_readers_ask_and_owners_tell() {
    let Some(server) = PostgresServer::start(&[]) else { return };
    let Some(proxy) = server.proxy() else { return };
    run(async {
        let behind = format!("{}?durability=none&proxy=transaction", proxy.url());
        let open = async |url: &str| PgStore::open(url).await.expect("the database can be reached");
        let (owner, reader) = (open(&behind).await, Arc::new(open(&behind).await));
        assert!(reader.watch(&id("a")).is_none());
        let clock = Arc::new(SystemClock);
        nothing_is_missed(&owner, reader, clock, &id("a"), async |_| {}).await;
        let direct = Arc::new(open(&format!("{}?durability=none", server.url())).await);
        chunks_come_by_wakes_alone(&owner, direct, &id("b")).await;
    });
}

/// A node that knows of no other tells nothing; once there is another one, it does.
#[test]
fn a_node_that_is_alone_tells_nobody() {
    let Some(server) = start(&[]) else { return };
    run(async {
        let (one, other) = (server.store().await, server.store().await);
        let node = |id: &str| Node { id: id.into(), url: String::new(), mark: String::new() };
        let url = server.process().url();
        let mut session = PgListener::connect(&url).await.expect("the database can be reached");
        session.listen("kode:moved:kode").await.expect("anyone may listen");
        one.announce(&node("one"), TTL, NOW).await.expect("a node can be announced");
        one.nodes(NOW).await.expect("nodes can be listed");
        Pen::take(&one, &id("unheard")).await.write_steps(&one, 3).await;
        other.announce(&node("other"), TTL, NOW).await.expect("a node can be announced");
        one.nodes(NOW).await.expect("nodes can be listed");
        Pen::take(&one, &id("heard")).await.write_steps(&one, 1).await;
        assert_eq!(session.recv().await.expect("the session stays").payload(), "heard");
    });
}
