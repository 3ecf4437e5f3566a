//! Three real nodes on one store: requests at any of them, owners that die or stop, and nodes that are drained under
//! load. On Redis and on PostgreSQL.

mod cluster;
mod deaths;
mod drains;
mod faults;
mod forwarding;
mod hop;
mod joining;
mod proxies;
mod reader;

use kode_testkit::servers::{PostgresServer, RedisServer};

/// A store in a server, for as long as this lives.
enum Backend {
    Redis(RedisServer),
    Postgres(PostgresServer),
}

impl Backend {
    /// None where the machine has none, which is noted.
    fn redis() -> Option<Self> {
        RedisServer::start(&[]).map(Self::Redis)
    }

    fn postgres() -> Option<Self> {
        PostgresServer::start(&["fsync=on"]).map(Self::Postgres)
    }

    fn url(&self) -> String {
        match self {
            Self::Redis(server) => format!("{}?prefix=test", server.url()),
            Self::Postgres(server) => server.url(),
        }
    }
}
