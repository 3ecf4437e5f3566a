//! `kode store`: check beside a live server, repair and migrate when it is gone.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Server, run};

/// A command's exit code, its report, and what it said on stderr.
fn store(dir: &Path, args: &[&str]) -> (i32, Value, String) {
    let args: Vec<&str> = ["store"].iter().chain(args).chain(&["--json"]).copied().collect();
    let output = run(dir, &args);
    let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.lines().count() <= 1, "one line: {said}");
    (output.status.code().unwrap(), report, said)
}

/// Two agents with a turn each.
async fn lived(dir: &TempDir) -> Server {
    let server = Server::start(dir);
    for agent in ["user:1", "user:2"] {
        server.post(&format!("/api/agents/{agent}/messages"), &json!({ "text": "hello" })).await;
        server.until_ready(agent).await;
    }
    server
}

/// Changes a word in the second line of a journal.
fn damage(journal: &Path) {
    let text = fs::read_to_string(journal).unwrap();
    fs::write(journal, text.replacen("message_queued", "message_quexed", 1)).unwrap();
}

#[tokio::test]
async fn g7_a_damaged_journal_is_found_beside_a_live_server_and_mended_without_it() {
    let dir = TempDir::new().unwrap();
    let server = lived(&dir).await;
    let (code, report, _) = store(dir.path(), &["check"]);
    assert_eq!((code, &report["ok"], &report["checked"]), (0, &json!(true), &json!(2)), "{report}");
    let (code, _, said) = store(dir.path(), &["repair"]);
    assert!(code == 1 && said.contains("--server"), "a live store is not written to: {said}");
    server.kill();

    let journal = dir.path().join(".kode/user:1/journal-1.jsonl");
    damage(&journal);
    let damaged = fs::read(&journal).unwrap();
    let (code, report, said) = store(dir.path(), &["check"]);
    assert_eq!((code, &report["bad"]), (1, &json!(1)), "{report}");
    assert!(said.contains("kode store repair"), "{said}");
    let bad = &report["agents"][0];
    assert_eq!((&bad["agentId"], &bad["code"]), (&json!("user:1"), &json!("damaged")));
    assert_eq!(report["agents"][1]["ok"], true);

    let (code, report, _) = store(dir.path(), &["repair", "--dry-run"]);
    assert_eq!((code, &report["agents"][0]["repaired"]), (0, &json!(false)), "{report}");
    assert_eq!(fs::read(&journal).unwrap(), damaged, "a dry run changes nothing");
    let (code, report, said) = store(dir.path(), &["repair", "user:1"]);
    assert_eq!(code, 0, "{said}");
    let repaired = &report["agents"][0];
    let kept = repaired["kept"].as_u64().unwrap();
    assert_eq!(repaired["lost"][0], kept + 1);
    let aside = dir.path().join(".kode").join(repaired["quarantine"].as_str().unwrap());
    let journal_aside = aside.join("journal-1.jsonl");
    assert_eq!(fs::read(journal_aside).unwrap(), damaged, "the damaged file is kept whole");
    assert_eq!(store(dir.path(), &["check"]).0, 0);

    // The agent goes on from what is left, or begins anew, above every cursor that was ever told.
    let server = Server::start(&dir);
    server.post("/api/agents/user:1/messages", &json!({ "text": "hello again" })).await;
    server.until_ready("user:1").await;
    assert_eq!(server.get("/api/agents/user:1").await.0, 200);
}

#[test]
fn what_is_no_store_or_no_agent_is_said_to_be_none() {
    let dir = TempDir::new().unwrap();
    let (code, _, said) = store(dir.path(), &["check"]);
    assert!(code == 1 && said.contains("--store fs:DIR"), "{said}");
    assert!(!dir.path().join(".kode").exists(), "a check makes no store");
    fs::create_dir(dir.path().join(".kode")).unwrap();
    assert_eq!(store(dir.path(), &["check"]).0, 0);
    let (code, report, _) = store(dir.path(), &["check", "nobody"]);
    assert_eq!((code, &report["agents"][0]["code"]), (1, &json!("unknown")));
    assert_eq!(store(dir.path(), &["check", "../x"]).0, 2);
    assert_eq!(run(dir.path(), &["store"]).status.code(), Some(2));
}

#[tokio::test]
async fn there_is_nothing_to_migrate_in_a_store_of_today() {
    let dir = TempDir::new().unwrap();
    lived(&dir).await.kill();
    for args in [&["migrate", "--dry-run"][..], &["migrate"]] {
        let (code, report, _) = store(dir.path(), args);
        assert_eq!(code, 0);
        assert!(report["agents"].as_array().unwrap().iter().all(|agent| agent["files"] == 0), "{report}");
    }
}
