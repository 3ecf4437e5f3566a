//! The tables: made once by many, kept apart by schema, refused when they are of a later version.

use futures_util::future::join_all;
use kode_core::store::{Catalog, StoreError};
use kode_store_postgres::{PgStore, Versions};
use kode_testkit::store_suite::pen::{Pen, all, id};
use kode_testkit::store_suite::run;

use crate::server::start;

#[test]
fn many_nodes_that_start_at_once_make_the_tables_once() {
    let Some(server) = start(&[]) else { return };
    run(async {
        let url = server.url("");
        let none = PgStore::versions_at(&url).await.expect("the database can be reached");
        assert_eq!(none.database, 0);
        let opened = join_all((0..16).map(|_| PgStore::open(&url))).await;
        for store in opened {
            let store = store.expect("one makes the tables, and the others wait");
            assert_eq!(store.versions().await, Ok(Versions { database: none.program, ..none }));
            assert_eq!(store.ready().await, Ok(()));
        }
    });
}

#[test]
fn a_store_that_is_not_there_is_not_made_by_looking() {
    let Some(server) = start(&[]) else { return };
    run(async {
        let url = server.url("");
        let refused = PgStore::open_existing(&url).await.err();
        assert!(
            matches!(&refused, Some(StoreError::Incompatible(why)) if why.contains("no store")),
            "{refused:?}"
        );
        assert_eq!(PgStore::versions_at(&url).await.map(|versions| versions.database), Ok(0));
        server.store().await;
        PgStore::open_existing(&url).await.expect("now it is there");
    });
}

#[test]
fn g7_a_schema_of_a_later_version_is_refused_and_kept() {
    let Some(server) = start(&[]) else { return };
    run(async {
        let mut pen = Pen::take(&server.store().await, &id("a")).await;
        let written = pen.write_steps(&server.store().await, 1).await;
        server.sql("INSERT INTO kode.migrations SELECT 99, 'later', now(), true, checksum, 0 FROM kode.migrations LIMIT 1").await;
        for refused in [PgStore::open(&server.url("")).await, PgStore::open_existing(&server.url("")).await] {
            let refused = refused.err();
            assert!(
                matches!(&refused, Some(StoreError::Incompatible(why)) if why.contains("99")),
                "{refused:?}"
            );
        }
        server.sql("DELETE FROM kode.migrations WHERE version = 99").await;
        assert_eq!(all(&server.store().await, &id("a")).await, written);
    });
}

/// A step that was changed after it was made would leave tables that no version describes.
#[test]
fn tables_that_another_text_made_are_refused() {
    let Some(server) = start(&[]) else { return };
    run(async {
        server.sql("CREATE SCHEMA kode; CREATE TABLE kode.agents (id int)").await;
        let refused = PgStore::open(&server.url("")).await.err();
        assert!(
            matches!(&refused, Some(StoreError::Unavailable(why)) if why.contains("already exists")),
            "{refused:?}"
        );
    });
}

#[test]
fn g8_schemas_share_a_database_and_nothing_else() {
    let Some(server) = start(&[]) else { return };
    run(async {
        let (one, two) = (server.store_with("schema=one").await, server.store_with("schema=two").await);
        Pen::take(&one, &id("a")).await.write_steps(&one, 2).await;
        assert_eq!(one.list("", None, 10).await, Ok(vec![id("a")]));
        assert_eq!(two.list("", None, 10).await, Ok(vec![]));
        assert_eq!(all(&two, &id("a")).await, []);
    });
}

/// A role that may not make anything can still use what is there.
#[test]
fn a_role_without_the_right_to_make_tables_uses_those_that_are_there() {
    let Some(server) = start(&[]) else { return };
    run(async {
        server.store().await;
        server
            .sql(
                "CREATE ROLE app LOGIN; GRANT USAGE ON SCHEMA kode TO app; \
                    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA kode TO app",
            )
            .await;
        let store = server.store_with("user=app").await;
        Pen::take(&store, &id("a")).await.write_steps(&store, 2).await;
        let refused = PgStore::open(&server.url("user=app&schema=other")).await.err();
        assert!(
            matches!(&refused, Some(StoreError::Unavailable(why)) if why.contains("42501")),
            "{refused:?}"
        );
    });
}
