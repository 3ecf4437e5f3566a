//! A server on PostgreSQL from outside: what becomes of it when the database dies under it.

use std::time::{Duration, Instant};

use kode_testkit::servers::PostgresServer;
use serde_json::json;
use tempfile::TempDir;

use crate::harness::{PATIENCE, Server};

#[tokio::test]
async fn g1_g4_a_server_outlives_the_kill_9_of_its_database_and_tells_the_same() {
    let Some(mut postgres) = PostgresServer::start(&["fsync=on"]) else { return };
    let (dir, url) = (TempDir::new().unwrap(), postgres.url());
    let server = Server::start_with(dir.path(), &["--store", &url]);
    server.post("/api/agents/user:1/messages", &json!({ "text": "write a.txt hi there" })).await;
    server.until_ready("user:1").await;
    let events = server.events("user:1").await;
    assert!(!events.is_empty());

    postgres.kill_9();
    let (status, refused) = server.post("/api/agents/user:1/messages", &json!({ "text": "lost?" })).await;
    assert_eq!(status, 503, "{refused}");
    postgres.again();
    let (began, message) = (Instant::now(), json!({ "text": "read a.txt" }));
    let mut again = tokio::time::interval(Duration::from_millis(100));
    let queued = loop {
        again.tick().await;
        let (status, queued) = server.post("/api/agents/user:1/messages", &message).await;
        if status == 202 {
            break queued;
        }
        assert_eq!(status, 503, "{queued}");
        assert!(began.elapsed() < PATIENCE, "{queued}");
    };
    let told = server.stream_text(&format!("/api/agents/user:1/stream?since={}", queued["cursor"])).await;
    assert!(told.contains("hi there"), "{told}");
    server.until_ready("user:1").await;
    let now = server.events("user:1").await;
    assert_eq!(now[..events.len()], events[..], "what was told is told under the same cursors");
    let asked = json!(now).to_string();
    assert!(!asked.contains("lost?"), "what was refused was not taken");
}
