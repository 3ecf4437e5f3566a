//! Bad input is input: a clear error with the right status, nothing lost, the server alive.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Server, kode, run};

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// One line that says what and what to do, with exit code 2.
fn assert_usage(output: &std::process::Output, says: &[&str]) {
    let told = stderr(output);
    assert_eq!((output.status.code(), told.lines().count()), (Some(2), 1), "{told}");
    assert!(says.iter().all(|part| told.contains(part)), "{told} lacks one of {says:?}");
}

#[test]
fn without_a_key_it_refuses_to_start_and_says_how_to_go_on() {
    let dir = TempDir::new().unwrap();
    assert_usage(&run(dir.path(), &["serve"]), &["no model key", "ZHIPUAI_API_KEY", "--demo"]);
}

#[test]
fn a_public_address_without_authentication_is_refused() {
    let dir = TempDir::new().unwrap();
    assert_usage(&run(dir.path(), &["serve", "--demo", "--listen", "0.0.0.0:0"]), &["0.0.0.0", "--insecure"]);
}

#[test]
fn a_wrong_configuration_is_named() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("kode.toml"), "lisen = \"127.0.0.1:0\"\n").unwrap();
    assert_usage(&run(dir.path(), &["serve", "--demo"]), &["lisen", "did you mean listen?"]);
    std::fs::write(dir.path().join("kode.toml"), "[[template]]\nid='x'\nsystem_prompt='p'\ntools=['fly']\n")
        .unwrap();
    assert_usage(
        &run(dir.path(), &["serve", "--demo", "--listen", "127.0.0.1:0"]),
        &["fly", "not registered"],
    );
    assert_usage(&run(dir.path(), &["serve", "--demo", "--store", "mysql://localhost"]), &["fs:DIR"]);
}

#[test]
fn a_second_server_on_one_store_is_refused() {
    let dir = TempDir::new().unwrap();
    let _first = Server::start(&dir);
    let second = run(dir.path(), &["serve", "--demo", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.status.code(), Some(1), "{}", stderr(&second));
    assert!(stderr(&second).contains("use"), "{}", stderr(&second));
}

#[tokio::test]
async fn wrong_requests_get_clear_errors_and_the_server_lives() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir);
    let long = "x".repeat(600);
    let messages = "/api/agents/user:1/messages";
    let huge = format!("{{\"text\":\"{}\"}}", "x".repeat(2_000_000)).into_bytes();
    let json_type = "application/json";
    let raw: [(&str, &str, Vec<u8>, u16); 9] = [
        (messages, json_type, b"{".to_vec(), 400),
        (messages, json_type, b"".to_vec(), 400),
        (messages, json_type, b"\xff\xfe".to_vec(), 400),
        (messages, "text/plain", b"{\"text\":\"x\"}".to_vec(), 415),
        (messages, json_type, b"{\"text\":7}".to_vec(), 422),
        (messages, json_type, b"{\"text\":\"  \"}".to_vec(), 422),
        (messages, json_type, b"{\"text\":\"x\",\"mode\":\"warp\"}".to_vec(), 422),
        (messages, json_type, b"{\"text\":\"x\",\"templateId\":\"nope\"}".to_vec(), 422),
        (messages, json_type, huge, 413),
    ];
    for (path, content_type, body, expected) in raw {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let (status, answer) = server.post_raw(path, content_type, body).await;
        assert_eq!(status, expected, "{shown}: {answer}");
        assert_error(&answer);
    }
    for id in ["a%2Fb", "..%2F..%2Fetc", "%00", ".hidden", "-rf", "a%20b", "%ff", &long] {
        let (status, answer) =
            server.post(&format!("/api/agents/{id}/messages"), &json!({ "text": "x" })).await;
        assert_eq!((status, &answer["code"]), (400, &json!("invalid_agent_id")), "{id}: {answer}");
        assert_error(&answer);
    }
    let gets = [
        ("/api/agents/nobody", 404),
        ("/api/agents/nobody/messages", 404),
        ("/api/agents/nobody/stream?since=5", 404),
        ("/api/agents/nobody/events", 404),
        ("/api/nothing", 404),
    ];
    for (path, expected) in gets {
        let (status, answer) = server.get(path).await;
        assert_eq!(status, expected, "{path}: {answer}");
        assert_error(&answer);
    }
    let fresh = server.get("/api/agents/nobody/status").await;
    assert_eq!((fresh.0, &fresh.1["state"], &fresh.1["lastSfpIndex"]), (200, &json!("READY"), &json!(-1)));
    assert!(!dir.path().join(".kode/user:1").exists(), "a refused first message made an agent");

    server.post(messages, &json!({ "text": "hello" })).await;
    server.until_ready("user:1").await;
    let future = server.get("/api/agents/user:1/stream?since=9007199254740990").await;
    assert_eq!(future.0, 400, "{}", future.1);
    let undecided =
        server.post("/api/agents/user:1/approve", &json!({ "callId": "c", "decision": "allow" })).await;
    assert_eq!((undecided.0, &undecided.1["code"]), (404, &json!("approval_not_found")));
}

/// The one shape of errors; no path of the host in it.
fn assert_error(answer: &Value) {
    assert_eq!(answer["success"], false, "{answer}");
    for field in ["error", "code", "requestId"] {
        assert!(
            answer[field].as_str().is_some_and(|text| !text.is_empty()),
            "{field} is missing in {answer}"
        );
    }
    assert!(!answer.to_string().contains("/tmp"), "a host path in {answer}");
}

#[tokio::test]
async fn g6_an_approval_is_listed_decided_once_and_survives_kill_9() {
    let dir = TempDir::new().unwrap();
    let config = "[[template]]\nid='asks'\nsystem_prompt='p'\ntools=['fs_write']\n\
                  permission={require_approval=['fs_write']}\n";
    std::fs::write(dir.path().join("kode.toml"), config).unwrap();
    let server = Server::start(&dir);
    server.post("/api/agents/u/messages", &json!({ "text": "write a.txt hi", "templateId": "asks" })).await;
    let mut control = server.stream("/api/agents/u/stream?since=0&channels=control").await;
    let asked = control.chunk().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&asked).contains("permission_required"));
    let (_, pending) = server.get("/api/agents/u/approvals").await;
    let call = pending["approvals"][0]["callId"].clone();
    server.kill();

    let server = Server::start(&dir);
    let (_, status) = server.get("/api/agents/u/status").await;
    assert_eq!(status["state"], "PAUSED", "{status}");
    let decide = json!({ "callId": call, "decision": "allow" });
    assert_eq!(server.post("/api/agents/u/approve", &decide).await.0, 204);
    let (second, why) = server.post("/api/agents/u/approve", &decide).await;
    assert_eq!((second, &why["code"]), (409, &json!("approval_decided")));
    server.until_ready("u").await;
    assert_eq!(std::fs::read_to_string(dir.path().join("workspace/u/a.txt")).unwrap(), "hi");
}

#[tokio::test]
async fn g7_a_damaged_journal_is_refused_and_kept_and_others_go_on() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir);
    server.post("/api/agents/hurt/messages", &json!({ "text": "hello" })).await;
    server.until_ready("hurt").await;
    let journal = first_journal(&dir.path().join(".kode/hurt"));
    let marked = || std::fs::read_to_string(&journal).unwrap().ends_with("\"entries\":[]}\n");
    while !marked() {
        tokio::task::yield_now().await;
    }
    server.kill();
    let mut bytes = std::fs::read(&journal).unwrap();
    let at = bytes.len() / 3;
    bytes[at] ^= 0x01;
    std::fs::write(&journal, &bytes).unwrap();
    for derived in ["metadata.json", "messages.json", "tools.json", "todos.json"] {
        let _ = std::fs::remove_file(dir.path().join(".kode/hurt").join(derived));
    }

    let server = Server::start(&dir);
    let (status, answer) = server.post("/api/agents/hurt/messages", &json!({ "text": "again" })).await;
    assert!(status >= 500, "{status} {answer}");
    assert!(answer["error"].as_str().unwrap().contains("damaged"), "{answer}");
    assert_error(&answer);
    assert_eq!(std::fs::read(&journal).unwrap(), bytes, "the damaged journal is kept as it is");
    assert_eq!(server.post("/api/agents/well/messages", &json!({ "text": "hello" })).await.0, 202);
}

fn first_journal(agent: &Path) -> std::path::PathBuf {
    let entries = std::fs::read_dir(agent).unwrap().map(|e| e.unwrap().path());
    entries.filter(|p| p.extension().is_some_and(|e| e == "jsonl")).min().expect("an agent has a journal")
}

/// A small file system of its own needs root to mount; CI is root.
fn small_disk(at: &Path) -> bool {
    std::fs::create_dir_all(at).unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(at).output();
    mount.is_ok_and(|m| m.status.success())
}

#[tokio::test]
async fn g1_on_a_full_disk_messages_are_refused_and_what_was_acknowledged_stays() {
    let dir = TempDir::new().unwrap();
    let store = dir.path().join("store");
    if !small_disk(&store) {
        assert!(std::env::var_os("CI").is_none(), "CI mounts file systems");
        kode_testkit::rounds::skipped("a full disk", "mounting a small file system needs root");
        return;
    }
    let url = format!("fs:{}", store.display());
    let server = Server::start_with(dir.path(), &["--store", &url]);
    let mut acknowledged = Vec::new();
    let filler = "x".repeat(60_000);
    let refused = loop {
        let (status, answer) = server.post("/api/agents/u/messages", &json!({ "text": filler })).await;
        match status {
            202 => acknowledged.push(answer["messageId"].clone()),
            _ => break (status, answer),
        }
        assert!(acknowledged.len() < 100, "a disk of 1 MiB takes no 6 MB");
    };
    assert_eq!((refused.0, &refused.1["code"]), (503, &json!("store_unavailable")), "{}", refused.1);
    assert_error(&refused.1);
    assert_eq!(server.get("/healthz").await.0, 200);
    let (_, events) = server.get("/api/agents/u/events?since=0").await;
    assert!(events["events"].as_array().is_some_and(|e| !e.is_empty()), "reads work on a full disk");
    server.kill();
    let again = Command::new("mount").args(["-o", "remount,size=16m"]).arg(&store).status().unwrap();
    assert!(again.success());

    let server = Server::start_with(dir.path(), &["--store", &url]);
    server.until_ready("u").await;
    let (_, messages) = server.get("/api/agents/u/messages?limit=1000").await;
    for id in &acknowledged {
        let ids = messages["messages"].as_array().unwrap().iter().map(|m| &m["id"]);
        assert_eq!(ids.filter(|i| *i == id).count(), 1, "{id} was acknowledged");
    }
    server.kill();
    let _ = Command::new("umount").arg(&store).status();
}

#[test]
fn a_store_that_cannot_be_written_is_refused_with_a_reason() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("file"), "not a directory").unwrap();
    let mut command =
        kode(dir.path(), &["serve", "--demo", "--listen", "127.0.0.1:0", "--store", "fs:./file/store"]);
    let output = command.output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).lines().count()), (Some(1), 1), "{}", stderr(&output));
}

/// Scenario 29. A work directory that cannot be had is an error that says so, and the agent is as it was.
#[tokio::test]
async fn g7_a_work_directory_that_cannot_be_had_leaves_the_agent_as_it_was() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir);
    server.post("/api/agents/user:1/messages", &json!({ "text": "hello" })).await;
    server.until_ready("user:1").await;
    let (_, before) = server.get("/api/agents/user:1/messages").await;
    server.kill();

    let work = dir.path().join("workspace/user:1");
    std::fs::remove_dir_all(&work).unwrap();
    std::fs::write(&work, "in the way").unwrap();
    let server = Server::start(&dir);
    let (status, refused) = server.post("/api/agents/user:1/messages", &json!({ "text": "again" })).await;
    assert_eq!((status, &refused["code"]), (500, &json!("sandbox_unavailable")), "{refused}");
    assert!(!refused.to_string().contains(dir.path().to_str().unwrap()), "a host path was told: {refused}");
    assert_eq!(server.get("/api/agents/user:1/messages").await.1, before);

    std::fs::remove_file(&work).unwrap();
    let (status, taken) = server.post("/api/agents/user:1/messages", &json!({ "text": "again" })).await;
    assert_eq!(status, 202, "{taken}");
    server.until_ready("user:1").await;
}
