//! A server for one test, and stores on it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use kode_store_postgres::PgStore;
use kode_testkit::servers::PostgresServer;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

/// A server of which the whole database is the test's.
pub(crate) struct Server(Mutex<PostgresServer>);

/// A server with these settings, or nothing where there is no PostgreSQL. It syncs nothing unless told.
pub(crate) fn start(settings: &[&str]) -> Option<Server> {
    PostgresServer::start(settings).map(|server| Server(Mutex::new(server)))
}

impl Server {
    /// The process, to kill it and to start it again.
    pub(crate) fn process(&self) -> MutexGuard<'_, PostgresServer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A URL with more options.
    pub(crate) fn url(&self, options: &str) -> String {
        format!("{}?durability=none&{options}", self.process().url())
    }

    pub(crate) async fn store(&self) -> PgStore {
        self.store_with("").await
    }

    pub(crate) async fn store_with(&self, options: &str) -> PgStore {
        PgStore::open(&self.url(options)).await.expect("the database can be reached")
    }

    /// A session beside the store's.
    pub(crate) async fn session(&self) -> PgConnection {
        let url = self.process().url();
        PgConnection::connect(&url).await.expect("the database can be reached")
    }

    /// Has the database do something beside the store.
    pub(crate) async fn sql(&self, sql: &str) {
        let mut session = self.session().await;
        session.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.expect("the test knows its SQL");
    }
}
