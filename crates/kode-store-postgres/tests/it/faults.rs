//! What a failing database looks like through the ports.

use futures_util::future::{join, join_all};
use kode_core::id::Seq;
use kode_core::store::{After, Catalog, Durability, Journal, Leases, StoreError};
use kode_testkit::store_suite::pen::{HOLDER, NOW, Pen, TTL, all, id, step};
use kode_testkit::store_suite::run;
use sqlx::Executor as _;

use crate::server::{Server, start};

/// Has every insert of an entry fail with a code.
async fn fail_inserts(server: &Server, code: &str) {
    server
        .sql(&format!(
            "CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS \
        $$ BEGIN RAISE EXCEPTION 'planted' USING ERRCODE = '{code}'; END $$; \
        CREATE OR REPLACE TRIGGER fail BEFORE INSERT ON kode.entries FOR EACH ROW EXECUTE FUNCTION fail()"
        ))
        .await;
}

#[test]
fn g7_a_full_disk_is_told_as_such_and_the_rest_passes() {
    let Some(server) = start(&[]) else { return };
    run(async {
        let store = server.store().await;
        let mut pen = Pen::take(&store, &id("a")).await;
        let written = pen.write_steps(&store, 1).await;
        let batch = pen.entries([(step(2), 1), (step(3), 1)]);
        for code in ["53100", "40001", "40P01", "55P03", "57014", "53300"] {
            fail_inserts(&server, code).await;
            let refused = store.append(&pen.lease, Seq(1), &batch, Durability::Synced).await;
            let Err(refused) = refused else { panic!("{code} was not noticed") };
            assert!(refused.may_pass() && refused.to_string().contains(code), "{refused}");
            assert_eq!(matches!(refused, StoreError::Full(_)), code == "53100", "{code}: {refused:?}");
            assert_eq!(all(&store, &id("a")).await, written);
        }
        // On a full disk reads and deletes work.
        store.delete(pen.lease).await.expect("deleting inserts nothing");
        assert_eq!(store.list("", None, 10).await, Ok(vec![]));
    });
}

#[test]
fn a_store_outlives_its_server() {
    let Some(server) = start(&[]) else { return };
    run(async {
        let store = server.store().await;
        let mut pen = Pen::take(&store, &id("a")).await;
        let mut written = pen.write_steps(&store, 2).await;
        server.process().stop();
        let gone = store.append(&pen.lease, Seq(2), &pen.entries([(step(3), 1)]), Durability::Synced).await;
        assert!(matches!(gone, Err(StoreError::Unavailable(_))), "{gone:?}");
        assert!(matches!(store.ready().await, Err(StoreError::Unavailable(_))));
        server.process().again();
        assert_eq!(store.ready().await, Ok(()));
        let mut pen = Pen::take(&store, &id("a")).await;
        written.extend(pen.write_steps(&store, 1).await);
        assert_eq!(all(&store, &id("a")).await, written);
    });
}

/// An append that waited for longer than it may is given up; whether the server does it later or not, it is whole,
/// and never under the next lease.
#[test]
fn g5_an_append_that_was_given_up_is_over_when_the_next_lease_is_granted() {
    let Some(server) = start(&[]) else { return };
    run(async {
        let store = server.store_with("timeout_secs=1").await;
        let mut pen = Pen::take(&store, &id("a")).await;
        let written = pen.write_steps(&store, 1).await;
        let mut other = server.session().await;
        other.execute("BEGIN; SELECT 1 FROM kode.agents FOR UPDATE").await.expect("the row is free");
        let batch = pen.entries([(step(2), 1), (step(3), 1)]);
        let late = store.append(&pen.lease, Seq(1), &batch, Durability::Synced).await;
        assert!(matches!(&late, Err(StoreError::Unavailable(why)) if why.contains("1 s")), "{late:?}");
        // A reader waits for nobody.
        assert_eq!(all(&store, &id("a")).await, written);
        other.execute("ROLLBACK").await.expect("the session is open");
        let lease = store.acquire(&id("a"), HOLDER, TTL, NOW).await.expect("the row is free");
        let there = all(&store, &id("a")).await;
        assert!(there == written || there == [written, batch.clone()].concat(), "{there:?}");
        let fenced = store.append(&pen.lease, Seq(1), &batch, Durability::Synced).await;
        assert_eq!(fenced, Err(StoreError::Fenced { epoch: pen.epoch(), current: lease.epoch }));
        assert_eq!(all(&store, &id("a")).await, there);
    });
}

/// Several writers that meet at the row at the same moment: each sees what the one before it did, not what was there
/// when its statement began.
#[test]
fn g5_of_appends_that_wait_for_the_row_one_takes_place() {
    let Some(server) = start(&[]) else { return };
    run(async {
        let store = server.store().await;
        let mut pen = Pen::take(&store, &id("a")).await;
        let written = pen.write_steps(&store, 1).await;
        let mut other = server.session().await;
        other.execute("BEGIN; SELECT 1 FROM kode.agents FOR UPDATE").await.expect("the row is free");
        let batches: Vec<_> = (0..4).map(|n| pen.entries([(step(n), 1), (step(n), 1)])).collect();
        let race = batches.iter().map(|batch| store.append(&pen.lease, Seq(1), batch, Durability::Synced));
        let start = async {
            until_so_many_wait(&server, 4).await;
            other.execute("ROLLBACK").await.expect("the session is open");
        };
        let (results, ()) = join(join_all(race), start).await;
        let won: Vec<_> = batches.iter().zip(&results).filter(|(_, result)| result.is_ok()).collect();
        assert_eq!(won.len(), 1, "{results:?}");
        let conflict = StoreError::Conflict { expected: Seq(1), actual: Seq(3) };
        assert!(
            results.iter().filter_map(|result| result.as_ref().err()).all(|why| *why == conflict),
            "{results:?}"
        );
        assert_eq!(all(&store, &id("a")).await, [written, won[0].0.clone()].concat());
    });
}

/// The same for an append and the lease that ends its writer's.
#[test]
fn g5_an_append_behind_the_next_lease_is_fenced() {
    let Some(server) = start(&[]) else { return };
    run(async {
        let store = server.store().await;
        let mut pen = Pen::take(&store, &id("a")).await;
        let written = pen.write_steps(&store, 1).await;
        let mut other = server.session().await;
        other.execute("BEGIN; SELECT 1 FROM kode.agents FOR UPDATE").await.expect("the row is free");
        let agent = id("a");
        let acquire = store.acquire(&agent, HOLDER, TTL, NOW);
        let late = async {
            until_so_many_wait(&server, 1).await;
            let batch = pen.entries([(step(2), 1)]);
            let append = store.append(&pen.lease, Seq(1), &batch, Durability::Buffered);
            let start = async {
                until_so_many_wait(&server, 2).await;
                other.execute("ROLLBACK").await.expect("the session is open");
            };
            join(append, start).await.0
        };
        let (lease, late) = join(acquire, late).await;
        let current = lease.expect("the row becomes free").epoch;
        assert_eq!(late, Err(StoreError::Fenced { epoch: pen.epoch(), current }));
        assert_eq!(all(&store, &id("a")).await, written);
    });
}

/// Returns once this many statements of the store wait for a lock.
async fn until_so_many_wait(server: &Server, many: i64) {
    let mut session = server.session().await;
    let asked =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'kode' AND wait_event_type = 'Lock'";
    while sqlx::query_scalar::<_, i64>(asked).fetch_one(&mut session).await.expect("the server tells") < many
    {
        tokio::task::yield_now().await;
    }
}

/// Whoever changes rows by hand is told where.
#[test]
fn g7_rows_that_do_not_fit_are_refused_and_kept() {
    let Some(server) = start(&[]) else { return };
    run(async {
        let store = server.store().await;
        let mut pen = Pen::take(&store, &id("a")).await;
        pen.write_steps(&store, 5).await;
        assert_eq!(
            store.check(&id("a")).await.map(|report| report.map(|r| (r.head, r.rows))),
            Ok(Some((Seq(5), 5)))
        );
        for (harm, place) in [
            ("UPDATE kode.entries SET body = 'no JSON' WHERE seq = 4", "seq 4"),
            (
                "UPDATE kode.entries SET body = (SELECT body FROM kode.entries WHERE seq = 2) WHERE seq = 4",
                "seq 4",
            ),
            ("DELETE FROM kode.entries WHERE seq = 3", "seq 5"),
        ] {
            server.sql(&format!("CREATE TABLE kept AS SELECT * FROM kode.entries; {harm}")).await;
            if place == "seq 5" {
                server.sql("DELETE FROM kode.entries WHERE seq = 4").await;
            }
            for refused in [
                store.read(&id("a"), After::Seq(Seq::ZERO), 10).await.err(),
                store.check(&id("a")).await.err(),
            ] {
                assert!(
                    matches!(&refused, Some(StoreError::Damaged(damage)) if damage.place.contains(place)),
                    "{refused:?}"
                );
            }
            server
                .sql("DELETE FROM kode.entries; INSERT INTO kode.entries SELECT * FROM kept; DROP TABLE kept")
                .await;
        }
        server.sql("DELETE FROM kode.entries WHERE seq = 5").await;
        let refused = store.check(&id("a")).await.err();
        assert!(
            matches!(&refused, Some(StoreError::Damaged(damage)) if damage.what.contains("ends at 5")),
            "{refused:?}"
        );
    });
}

/// What a later version wrote is kept, and told apart from damage.
#[test]
fn g12_an_entry_of_a_later_version_is_refused_as_such() {
    let Some(server) = start(&[]) else { return };
    run(async {
        let store = server.store().await;
        Pen::take(&store, &id("a")).await.write_steps(&store, 1).await;
        server.sql("UPDATE kode.entries SET body = convert_to(replace(convert_from(body, 'UTF8'), 'model_started', 'of_later'), 'UTF8')").await;
        let refused = store.read(&id("a"), After::Seq(Seq::ZERO), 10).await;
        assert!(
            matches!(&refused, Err(StoreError::Incompatible(why)) if why.contains("later version")),
            "{refused:?}"
        );
    });
}
