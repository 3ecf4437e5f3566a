//! The Redis store from outside: what every store does, beside the store in memory, and over the deaths of servers.

mod cluster;
mod conformance;
mod deaths;
mod differential;
mod fences;
mod index;
mod settings;
mod wakes;

use kode_core::store::StoreResult;
use kode_store_redis::RedisStore;
use kode_testkit::servers::RedisServer;

/// Opens a store on a private server, with more in its url.
async fn try_open(server: &RedisServer, query: &str) -> StoreResult<RedisStore> {
    let url = format!("{}?{query}", server.url());
    RedisStore::open(&url.parse().expect("tests name stores rightly")).await
}

/// The same where nothing refuses it.
async fn open(server: &RedisServer, query: &str) -> RedisStore {
    try_open(server, query).await.expect("the server is there")
}

/// Sends a signal to a server's process.
fn signal(signal: &str, process: u32) {
    let sent = std::process::Command::new("kill").args([signal, &process.to_string()]).status();
    assert!(sent.expect("kill can be started").success());
}
