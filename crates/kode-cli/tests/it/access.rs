//! Keys from the command that makes them to the server that takes them, and out again.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::agents::{assert_refused, done, stderr, stdout};
use crate::harness::{PATIENCE, Server, kode, run};

/// Makes a key, appends what the server needs to know of it, and gives the key.
pub(crate) fn new_key(dir: &Path, args: &[&str]) -> String {
    let made = run(dir, &[&["keys", "new"], args].concat());
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    let file = dir.join("keys.toml");
    let mut keys = std::fs::OpenOptions::new().create(true).append(true).open(&file).unwrap();
    keys.write_all(&made.stdout).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let key = stderr(&made).trim().rsplit(' ').next().unwrap().to_owned();
    assert!(key.starts_with("kode_") && key.len() == 69 && !stdout(&made).contains(&key), "{key}");
    key
}

fn with_key(dir: &Path, key: &str, args: &[&str]) -> Output {
    kode(dir, args).env("KODE_API_KEY", key).output().unwrap()
}

/// All bytes of all files below a directory, as text.
pub(crate) fn everything(dir: &Path) -> String {
    let mut text = String::new();
    let mut left: Vec<PathBuf> = vec![dir.to_owned()];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            text += &String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default());
        }
    }
    text
}

fn configured(dir: &TempDir) {
    let config = "api_keys_file='keys.toml'\n[[template]]\nid='asks'\nsystem_prompt='p'\ntools=['fs_write']\n\
                  permission={require_approval=['fs_write']}\n";
    std::fs::write(dir.path().join("kode.toml"), config).unwrap();
}

async fn post(server: &Server, key: &str, path: &str, body: &Value) -> (u16, Value) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer =
        http.post(format!("{}{path}", server.base)).bearer_auth(key).json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn a_key_works_end_to_end_is_written_nowhere_and_can_be_revoked() {
    let dir = TempDir::new().unwrap();
    configured(&dir);
    let bobs = new_key(dir.path(), &["bobs", "--prefix", "user:bob"]);
    let ann = new_key(dir.path(), &["ann", "--prefix", "user:ann"]);
    let bob = new_key(dir.path(), &["bob", "--prefix", "user:bob", "--right", "read"]);
    let log: Arc<Mutex<String>> = Arc::default();
    let (lines, (tell, mut heard)) = (log.clone(), tokio::sync::mpsc::unbounded_channel());
    let server = Server::start_with_log(dir.path(), &[], move |line| {
        *lines.lock().unwrap() += &format!("{line}\n");
        let _ = tell.send(line.to_owned());
    });
    let base = server.base.clone();
    let asked = json!({ "text": "write a.txt hi", "templateId": "asks" });
    assert_eq!(post(&server, &ann, "/api/agents/user:ann/messages", &asked).await.0, 202);
    assert_eq!(post(&server, &bob, "/api/agents/user:bob/messages", &asked).await.0, 403);
    assert_eq!(post(&server, &bobs, "/api/agents/user:bob/messages", &asked).await.0, 202);
    let as_bob = with_key(dir.path(), &bob, &["agents", "ls", "--server", &base]);
    assert!(done(&as_bob).contains("user:bob"), "there is one to be hidden from others");
    assert_eq!(server.get("/api/agents").await.0, 401);
    let (status, issued) =
        post(&server, &ann, "/api/stream-tickets", &json!({ "agentId": "user:ann" })).await;
    let ticket = issued["ticket"].as_str().unwrap().to_owned();
    assert_eq!(status, 201);

    // The stream, by ticket, up to the question.
    let mut stream =
        server.stream(&format!("/api/agents/user:ann/stream?since=0&channels=control&ticket={ticket}")).await;
    let mut told = String::new();
    while !told.contains("permission_required") {
        let chunk = tokio::time::timeout(PATIENCE, stream.chunk()).await.unwrap().unwrap();
        told += &String::from_utf8_lossy(&chunk.unwrap());
    }

    let dir_path = dir.path();
    let as_ann = |args: &[&str]| with_key(dir_path, &ann, &[args, &["--server", &base]].concat());
    let listed = done(&as_ann(&["agents", "ls"]));
    assert!(listed.contains("user:ann") && !listed.contains("user:bob"), "{listed}");
    let usage: Value = serde_json::from_str(&done(&as_ann(&["usage", "--json"]))).unwrap();
    let today = usage["days"][0]["keys"].as_array().unwrap();
    assert_eq!((today.len(), &today[0]["name"]), (1, &"ann".into()), "{usage}");
    assert!(today[0]["tokens"].as_u64().unwrap() > 0, "{usage}");
    let table = done(&as_ann(&["usage"]));
    assert!(table.starts_with("DAY") && table.contains("ann") && !table.contains("bob"), "{table}");
    let shown: Value =
        serde_json::from_str(&done(&as_ann(&["agents", "show", "user:ann", "--json"]))).unwrap();
    let call = shown["approvals"][0]["callId"].as_str().unwrap_or_else(|| panic!("{shown}")).to_owned();
    let as_bob = with_key(dir_path, &bob, &["approve", "user:ann", &call, "--server", &base]);
    assert_refused(&as_bob, 1, &["approve"]);
    done(&as_ann(&["approve", "user:ann", &call]));
    let events = done(&as_ann(&["events", "user:ann", "--channels", "control", "--json"]));
    assert!(events.contains("\"decidedBy\":\"ann\""), "{events}");

    let file = dir.path().join("ann.key");
    std::fs::write(&file, format!("{ann}\n")).unwrap();
    let by_file = kode(dir_path, &["agents", "ls", "--server", &base])
        .env("KODE_API_KEY_FILE", &file)
        .output()
        .unwrap();
    assert!(done(&by_file).contains("user:ann"));
    std::fs::remove_file(file).unwrap();
    assert_refused(&run(dir_path, &["agents", "ls", "--server", &base]), 1, &["authorization"]);
    let outside = as_ann(&["agents", "show", "user:bob"]);
    assert_refused(&outside, 1, &["there is no agent user:bob"]);

    // Revoked while the server runs.
    let keys = std::fs::read_to_string(dir.path().join("keys.toml")).unwrap();
    let without_ann = &keys[keys.rfind("[[key]]").unwrap()..];
    std::fs::write(dir.path().join("keys.toml"), without_ann).unwrap();
    let revoked = async {
        while post(&server, &ann, "/api/stream-tickets", &json!({ "agentId": "user:ann" })).await.0 != 401 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, revoked).await.expect("a revoked key dies");
    // What is wrong changes nothing.
    std::fs::write(dir.path().join("keys.toml"), "[[key]]\nnam = 1\n").unwrap();
    let noticed = async { while !heard.recv().await.unwrap().contains("the keys stay as they were") {} };
    tokio::time::timeout(PATIENCE, noticed).await.expect("the log says so");
    assert_eq!(post(&server, &bob, "/api/stream-tickets", &json!({ "agentId": "user:bob" })).await.0, 201);

    let (log, files) = (log.lock().unwrap().clone(), everything(dir.path()));
    for secret in [&ann, &bob, &ticket] {
        assert!(!log.contains(secret.as_str()) && !files.contains(secret.as_str()), "a secret was written");
    }
}

#[test]
fn with_keys_any_address_may_be_listened_on_and_a_wrong_file_is_named() {
    let dir = TempDir::new().unwrap();
    configured(&dir);
    let serve = ["serve", "--demo", "--listen", "0.0.0.0:0"];
    assert_refused(&run(dir.path(), &serve), 2, &["keys.toml", "cannot be read"]);
    new_key(dir.path(), &["ann", "--prefix", "user:ann", "--prefix", "team:a"]);
    let server = Server::start_at(&dir, "0.0.0.0:0");
    assert!(server.base.contains("0.0.0.0"), "{}", server.base);
    drop(server);

    let file = dir.path().join("keys.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, good.replace("prefixes", "prefix")).unwrap();
    assert_refused(&run(dir.path(), &serve), 2, &["keys.toml", "\"ann\"", "did you mean prefixes?"]);
    std::fs::write(&file, good).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_refused(&run(dir.path(), &serve), 2, &["chmod 600"]);
    std::fs::remove_file(dir.path().join("kode.toml")).unwrap();
    assert_refused(&run(dir.path(), &serve), 2, &["KODE_API_KEYS_FILE", "--insecure"]);
    let weak = kode(dir.path(), &serve).env("KODE_JWT_SECRET", "short").output().unwrap();
    assert_refused(&weak, 2, &["KODE_JWT_SECRET", "16 bytes"]);
    let audience = kode(dir.path(), &serve).env("KODE_JWT_AUDIENCE", "kode").output().unwrap();
    assert_refused(&audience, 2, &["jwt_audience"]);
}

#[test]
fn a_key_is_made_for_something() {
    let dir = TempDir::new().unwrap();
    assert_eq!(run(dir.path(), &["keys", "new", "ann"]).status.code(), Some(2), "no prefix, no key");
    assert_refused(&run(dir.path(), &["keys", "new", "ann", "--prefix", "user:*"]), 2, &["such as"]);
    let made =
        done(&run(dir.path(), &["keys", "new", "a\"b", "--prefix", "*", "--right", "admin", "--json"]));
    let made: Value = serde_json::from_str(&made).unwrap();
    assert_eq!((&made["name"], &made["rights"]), (&json!("a\"b"), &json!(["admin"])));
}
