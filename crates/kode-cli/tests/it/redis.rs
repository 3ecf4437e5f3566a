//! A redis store from outside: the same server, the same commands, and what they say of a store without files.

use std::time::{Duration, Instant};

use kode_testkit::servers::RedisServer;
use serde_json::json;
use tempfile::TempDir;

use crate::agents::{assert_refused, done};
use crate::harness::{PATIENCE, Server, run};

fn store(redis: &RedisServer) -> String {
    format!("{}?prefix=test", redis.url())
}

#[tokio::test]
async fn g1_what_a_server_on_redis_was_told_is_there_after_its_kill_9() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let (dir, url) = (TempDir::new().unwrap(), store(&redis));
    let serve = ["--store", url.as_str()];
    let server = Server::start_with(dir.path(), &serve);
    server.post("/api/agents/user:1/messages", &json!({ "text": "write a.txt hi there" })).await;
    server.until_ready("user:1").await;
    let events = server.events("user:1").await;
    assert!(!events.is_empty());

    // Commands read beside it, and change nothing under its hands.
    let listed = done(&run(dir.path(), &["agents", "ls", "--store", &url]));
    assert!(listed.contains("user:1"), "{listed}");
    let replayed = done(&run(dir.path(), &["replay", "user:1", "--store", &url]));
    assert!(replayed.contains("a.txt"), "{replayed}");
    let removed = run(dir.path(), &["agents", "rm", "user:1", "--yes", "--store", &url]);
    assert_refused(&removed, 1, &["another server has the agent"]);
    server.kill();

    let server = Server::start_with(dir.path(), &serve);
    assert_eq!(server.events("user:1").await, events, "the same events under the same cursors");
    // The dead server's lease ends by the clock of redis.
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
}

#[test]
fn commands_for_files_say_what_a_redis_store_has_instead() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let (dir, url) = (TempDir::new().unwrap(), store(&redis));
    for command in ["check", "migrate"] {
        assert_refused(
            &run(dir.path(), &["store", command, "--store", &url]),
            2,
            &["files", "redis-check-aof"],
        );
    }
    assert_refused(&run(dir.path(), &["store", "repair", "--dry-run", "--store", &url]), 2, &["as a whole"]);
    let repaired = done(&run(dir.path(), &["store", "repair", "--store", &url]));
    assert!(repaired.contains("the index of names is whole; 0 agents"), "{repaired}");
}

#[test]
fn a_redis_that_forgets_or_is_not_there_is_refused_in_one_line_without_the_password() {
    let Some(redis) = RedisServer::start(&["--appendfsync", "everysec"]) else { return };
    let dir = TempDir::new().unwrap();
    let refused = run(dir.path(), &["agents", "ls", "--store", &store(&redis)]);
    assert_refused(&refused, 1, &["appendfsync always", "?durability=everysec"]);
    let (nobody, secret) = ("redis://user:secret@127.0.0.1:1", "secret");
    let refused = run(dir.path(), &["agents", "ls", "--store", nobody]);
    assert_refused(&refused, 1, &["redis://127.0.0.1:1?prefix=kode cannot be opened"]);
    assert!(!String::from_utf8_lossy(&refused.stderr).contains(secret));
}
