//! `kode approve` and `kode deny`, on a server and on a store that nobody runs.

use serde_json::Value;
use tempfile::TempDir;

use crate::agents::{assert_refused, done, server};
use crate::harness::{Server, run};

#[tokio::test]
async fn g6_a_decision_through_the_server_takes_effect_at_once() {
    let dir = TempDir::new().unwrap();
    let server = server(&dir).await;
    let at = ["--server", &server.base];
    let decide = |words: &[&str]| run(dir.path(), &[words, &at].concat());
    assert_refused(&decide(&["approve", "asks", "call_9_9"]), 1, &["call_9_9", "kode agents show asks"]);
    assert_refused(&decide(&["approve", "nobody", "call_1_0"]), 1, &["no agent nobody"]);
    let other = decide(&["approve", "asks", "call_1_0", "--input-hash", &"0".repeat(64)]);
    assert_refused(&other, 1, &["another input"]);
    let told = done(&decide(&["approve", "asks", "call_1_0"]));
    let (shown, allowed) = told.split_once('\n').unwrap();
    assert!(shown.starts_with("call_1_0: fs_write {") && shown.contains("\\u{202e}"), "{shown}");
    assert_eq!(allowed, "allowed call_1_0 of asks\n");
    server.until_ready("asks").await;
    assert!(dir.path().join("workspace/asks/a.txt").exists());
    assert_refused(&decide(&["deny", "asks", "call_1_0"]), 1, &["decided before"]);
}

#[tokio::test]
async fn g6_a_decision_on_a_store_is_kept_starts_nothing_and_takes_effect_at_the_next_start() {
    let dir = TempDir::new().unwrap();
    let first = server(&dir).await;
    let live = run(dir.path(), &["approve", "asks", "call_1_0"]);
    assert_refused(&live, 1, &["in use by another process", "--server URL"]);
    first.kill();

    assert_refused(&run(dir.path(), &["deny", "asks", "call_9_9"]), 1, &["kode agents show asks"]);
    let (other, none) = ("0".repeat(64), "asks' call");
    let other = run(dir.path(), &["approve", "asks", "call_1_0", "--input-hash", &other]);
    assert_refused(&other, 1, &["another input"]);
    let seen = done(&run(dir.path(), &["agents", "show", "asks", "--json"]));
    let seen: Value = serde_json::from_str(&seen).unwrap();
    let hash = seen["approvals"][0]["inputHash"].as_str().expect(none).to_owned();
    let told = done(&run(dir.path(), &["approve", "asks", "call_1_0", "--json", "--input-hash", &hash]));
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["inputHash"], hash);
    assert_eq!((&told["decision"], &told["goesOn"]), (&"allow".into(), &false.into()));
    assert!(!dir.path().join("workspace/asks/a.txt").exists(), "the tool is not this command's to start");
    assert_refused(&run(dir.path(), &["deny", "asks", "call_1_0"]), 1, &["decided before"]);

    let next = Server::start_at(&dir, "http://127.0.0.1:0");
    next.until_ready("asks").await;
    assert!(dir.path().join("workspace/asks/a.txt").exists());
    let events = next.events("asks").await;
    let count = |kind: &str| events.iter().filter(|e| e["event"]["type"] == kind).count();
    assert_eq!((count("permission_decided"), count("tool:end"), count("done")), (1, 1, 1));
}

#[tokio::test]
async fn g6_the_model_reads_the_note_of_a_refusal() {
    let dir = TempDir::new().unwrap();
    server(&dir).await.kill();
    let told = done(&run(dir.path(), &["deny", "asks", "call_1_0", "--note", "not on a Friday"]));
    assert!(told.contains("\ndenied call_1_0 of asks; it goes on when `kode serve`"), "{told}");
    let next = Server::start_at(&dir, "http://127.0.0.1:0");
    next.until_ready("asks").await;
    let (_, messages) = next.get("/api/agents/asks/messages").await;
    assert!(messages.to_string().contains("denied by local: not on a Friday"), "{messages}");
}
