//! A store's server of a run's own: Redis that syncs each append, PostgreSQL that syncs each commit.

use std::sync::Arc;

use kode_core::store::Store;
use kode_store_postgres::PgStore;
use kode_store_redis::RedisStore;
use kode_testkit::servers::{PostgresServer, RedisServer};
use serde_json::{Value, json};

/// A server, ended with this value, and where it is.
pub(super) enum Server {
    Redis(RedisServer),
    Postgres(PostgresServer),
}

impl Server {
    /// One that keeps what it acknowledges; nothing where the machine has none.
    pub(super) fn start(kind: &str) -> anyhow::Result<Option<Self>> {
        match kind {
            "redis" => Ok(RedisServer::start(&[]).map(Self::Redis)),
            "postgres" => Ok(PostgresServer::start(&["fsync=on", "full_page_writes=on"]).map(Self::Postgres)),
            other => anyhow::bail!("store={other}: there are redis and postgres"),
        }
    }

    /// What a run reports that has none.
    pub(super) fn missing(kind: &str) -> Value {
        json!({ "skipped": format!("no {kind} server is on this machine") })
    }

    /// A store on it.
    pub(super) async fn open(&self) -> anyhow::Result<Arc<dyn Store>> {
        Ok(match self {
            Self::Redis(server) => Arc::new(RedisStore::open(&server.url().parse()?).await?),
            Self::Postgres(server) => Arc::new(PgStore::open(&server.url()).await?),
        })
    }
}
