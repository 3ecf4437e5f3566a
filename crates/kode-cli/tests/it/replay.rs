//! `kode replay` on the journal of a server that is running.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Server, run};

#[tokio::test]
async fn a_journal_is_folded_while_the_server_has_it() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir);
    server.post("/api/agents/user:1/messages", &json!({ "text": "write a.txt hi" })).await;
    server.until_ready("user:1").await;

    let by_id = run(dir.path(), &["replay", "user:1", "--json"]);
    assert!(by_id.status.success(), "{}", String::from_utf8_lossy(&by_id.stderr));
    let report: Value = serde_json::from_slice(&by_id.stdout).unwrap();
    assert_eq!(report["prompt"]["messages"].as_array().unwrap().len(), 4);
    assert_eq!((&report["wanted"], &report["templateKnown"]), (&json!([]), &json!(true)));
    let by_path = run(dir.path(), &["replay", ".kode/user:1", "--json"]);
    assert_eq!(by_id.stdout, by_path.stdout);

    let early = run(dir.path(), &["replay", "user:1", "--at", "5", "--json"]);
    let report: Value = serde_json::from_slice(&early.stdout).unwrap();
    assert_eq!(report["seq"], 5);
    assert_eq!(report["wanted"].as_array().unwrap().len(), 1, "the model is wanted in mid-turn: {report}");
}

#[tokio::test]
async fn a_person_reads_state_wants_and_prompt() {
    let dir = TempDir::new().unwrap();
    crate::agents::server(&dir).await.kill();
    let told = crate::agents::done(&run(dir.path(), &["replay", "asks"]));
    for part in ["PAUSED (AWAITING_APPROVAL)", "at the calls of step 1", "[system]", r"\u001b[2Jhi\u{202e}"] {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
    assert!(!told.contains('\u{1b}') && !told.contains('\u{202e}'), "{told}");
    let early = crate::agents::done(&run(dir.path(), &["replay", "user:1", "--at", "5"]));
    assert!(early.contains("wanted    Model { step: 1, attempt: 1 }"), "{early}");
}

#[test]
fn an_unknown_agent_is_said_to_be_unknown() {
    let dir = TempDir::new().unwrap();
    let missing = run(dir.path(), &["replay", "user:1"]);
    assert_eq!(missing.status.code(), Some(1));
    let bad = run(dir.path(), &["replay", "../etc/passwd"]);
    assert_eq!(bad.status.code(), Some(2));
}
