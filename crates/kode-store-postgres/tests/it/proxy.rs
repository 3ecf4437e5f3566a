//! Behind a proxy that gives each transaction another connection to the server.

use async_trait::async_trait;
use kode_store_postgres::PgStore;
use kode_testkit::servers::{PostgresServer, TransactionProxy};
use kode_testkit::store_suite::{
    Bench, Clock, blobs, catalog, checkpoints, elision, journal, leases, reading, run,
};

/// A schema of its own on a server behind a proxy.
struct Proxied {
    url: String,
    schema: &'static str,
}

#[async_trait]
impl Bench for Proxied {
    type Store = PgStore;

    async fn open(&self) -> PgStore {
        let url = format!("{}?durability=none&proxy=transaction&schema={}", self.url, self.schema);
        PgStore::open(&url).await.expect("the database can be reached")
    }

    fn clock(&self) -> Clock {
        Clock::Stores
    }
}

fn start() -> Option<(PostgresServer, TransactionProxy)> {
    let server = PostgresServer::start(&[])?;
    let proxy = server.proxy()?;
    Some((server, proxy))
}

#[test]
fn a_proxy_that_pools_transactions_changes_nothing() {
    let Some((_server, proxy)) = start() else { return };
    let bench = |schema| Proxied { url: proxy.url(), schema };
    run(async {
        journal::every_kind_of_fact_comes_back_as_it_was(bench("facts")).await;
        journal::both_grades_survive_the_death_of_the_process(bench("grades")).await;
        journal::g5_racing_writers_interleave_nothing(bench("race")).await;
        journal::a_hundred_agents_write_at_once(bench("many")).await;
        reading::g4_after_a_cursor_comes_each_later_event_once(bench("cursors")).await;
        leases::g5_of_racing_holders_one_gets_the_lease(bench("holders")).await;
        checkpoints::a_checkpoint_is_replaced_as_a_whole(bench("checkpoints")).await;
        blobs::a_blob_comes_back_as_it_was(bench("blobs")).await;
        elision::g4_readers_of_any_place_meet_what_is_left(bench("elision")).await;
        catalog::g7_delete_removes_everything(bench("deletion")).await;
    });
}
