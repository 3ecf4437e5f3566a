//! Twenty secrets, each shown where secrets are shown, and looked for wherever the server writes or says anything: its
//! log at its most talkative, its store, its answers, events, errors, metrics and pages.

use std::sync::{Arc, Mutex};

use kode_testkit::glm_emulator::{GlmEmulator, Reply};
use serde_json::json;
use tempfile::TempDir;

use crate::access::{everything, new_key};
use crate::harness::{PATIENCE, Server, run};

/// What the server is told in its environment. It knows these, and keeps them from agents too.
const TOLD: [(&str, &str); 9] = [
    ("ZHIPUAI_API_KEY", "canary01-of-the-first-name.glm"),
    ("ZAI_API_KEY", "canary02-of-the-second-name.glm"),
    ("GLM_API_KEY", "canary03-of-the-third-name.glm"),
    ("KODE_JWT_SECRET", "canary04-with-which-tokens-are-signed"),
    ("KODE_CLUSTER_SECRET", "canary05-that-nodes-show-each-other"),
    ("KODE_API_KEY", "canary06-of-the-command-for-a-server"),
    ("KODE_GLM_BASE_URL", "http://proxy:canary07-within-a-url@127.0.0.1:9/v4"),
    ("KODE_GLM_TOKEN", "canary08-of-nothing-that-is-known"),
    ("OTHER_PASSWORD", "canary09-of-the-hosts-own"),
];

/// The part of a setting that is secret.
fn secret(value: &str) -> &str {
    let from = value.find("canary").unwrap();
    value[from..].split('@').next().unwrap()
}

/// Everything that an answer has.
async fn told(request: reqwest::RequestBuilder) -> String {
    let answer = tokio::time::timeout(PATIENCE, request.send()).await.unwrap().unwrap();
    let head = format!("{} {:?}", answer.status(), answer.headers());
    head + &answer.text().await.unwrap()
}

#[tokio::test]
async fn none_of_twenty_secrets_is_in_anything_that_the_server_writes_or_says() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("kode.toml"), "api_keys_file='keys.toml'\n").unwrap();
    let key = new_key(dir.path(), &["op", "--prefix", "*", "--right", "admin"]);
    let reader = new_key(dir.path(), &["reader", "--prefix", "user:reader", "--right", "read"]);
    let log: Arc<Mutex<String>> = Arc::default();
    let lines = log.clone();
    // Who has the secret of a cluster says where its other nodes reach it.
    let env = [&TOLD[..], &[("KODE_NODE_URL", "http://127.0.0.1:9")]].concat();
    let server =
        Server::start_talkative(dir.path(), &env, move |line| *lines.lock().unwrap() += &format!("{line}\n"));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = |path: &str| format!("{}{path}", server.base);
    let as_op = |method: &str, path: &str| http.request(method.parse().unwrap(), url(path)).bearer_auth(&key);
    let mut answers = String::new();

    // What the server knows lies in the agent's directory, and a tool reads it.
    let workspace = dir.path().join("workspace/user:1");
    let made = told(as_op("POST", "/api/agents").json(&json!({ "agentId": "user:1" }))).await;
    assert!(made.starts_with("201"), "{made}");
    let known = TOLD.map(|(_, value)| secret(value));
    std::fs::create_dir_all(&workspace).unwrap();
    std::fs::write(workspace.join("env.txt"), format!("before {} after", known[..7].join("\n"))).unwrap();
    for text in ["read env.txt", "read canary-file-that-is-not-there", "hello"] {
        let said = as_op("POST", "/api/agents/user:1/messages").header("accept", "text/event-stream");
        answers += &told(said.json(&json!({ "text": text }))).await;
    }
    assert!(answers.contains("[redacted]") && answers.contains("before"), "the file was read: {answers}");

    // What callers show, well and badly.
    let ticket = |answer: String| answer.split("\"ticket\":\"").nth(1).unwrap()[..64].to_owned();
    let mut issued = Vec::new();
    for _ in 0..2 {
        let asked = as_op("POST", "/api/stream-tickets").json(&json!({ "agentId": "user:1" }));
        issued.push(ticket(told(asked).await));
    }
    let shown = [
        key.clone(),
        reader.clone(),
        "kode_canary10-of-nobody".into(),
        "canary11.of.nobody".into(),
        "canary12-basic".into(),
        issued[0].clone(),
        issued[1].clone(),
        "canary13-in-a-cookie".into(),
        "canary14-in-a-query".into(),
        "canary15-in-a-header".into(),
        "canary16-as-a-method".into(),
    ];
    for path in [
        "/api/agents",
        "/api/agents/user:2",
        "/api/agents/user:1/status",
        "/nowhere",
        "/metrics",
        "/api/agents?limit=x",
    ] {
        for held in &shown {
            answers += &told(http.get(url(path)).bearer_auth(held)).await;
            answers += &told(http.get(url(path)).basic_auth("user", Some(held))).await;
            let elsewhere = {
                let joint = if path.contains('?') { '&' } else { '?' };
                http.get(url(&format!("{path}{joint}api_key={held}&ticket={held}")))
            };
            answers += &told(elsewhere.header("cookie", held).header("x-api-key", held)).await;
        }
    }
    let again = format!("/api/agents/user:1/stream?ticket={}", issued[0]);
    answers += &told(http.get(url(&again)).header("last-event-id", "9007199254740990")).await;
    for path in [
        "/metrics",
        "/openapi.json",
        "/",
        "/docs",
        "/api/metrics",
        "/api/templates",
        "/api/agents",
        "/api/approvals",
        "/api/agents/user:1/events?channels=progress,control,monitor&limit=10000",
        "/api/agents/user:1/messages",
        "/api/agents/user:1/status",
        "/api/agents/user:1/todos",
    ] {
        answers += &told(as_op("GET", path)).await;
    }
    server.kill();

    // Another start, that fails: what it says, and the store's files.
    let failed = run(dir.path(), &["serve", "--demo", "--store", "mysql://u:canary17-of-a-store@h/x"]);
    assert!(!failed.status.success());
    let failed = String::from_utf8_lossy(&failed.stderr).into_owned();
    let (log, store) = (log.lock().unwrap().clone(), everything(&dir.path().join(".kode")));
    assert!(log.contains("DEBUG") && log.contains("/api/agents/user:1/stream"), "it logs: {log}");
    assert!(store.contains("[redacted]") && answers.contains("unauthorized"));
    let secrets: Vec<&str> = known[..7]
        .iter()
        .copied()
        .chain(shown.iter().map(String::as_str))
        .chain(["canary17-of-a-store"])
        .collect();
    assert!(secrets.len() + known[7..].len() >= 20);
    for secret in secrets.iter().chain(&known[7..]) {
        for (place, text) in [("log", &log), ("store", &store), ("answers", &answers), ("failure", &failed)] {
            // What nobody told the server is kept out of its own words all the same.
            assert!(!text.contains(secret), "{secret} is in the {place}");
        }
    }
}

/// A provider that says in its errors what it was shown, before an answer and in the middle of one.
#[tokio::test]
async fn g9_a_model_that_fails_with_secrets_in_its_words_tells_none_to_anybody() {
    const KEY: &str = "canary20-id.canary21-secret-of-the-model";
    let (dir, glm) = (TempDir::new().unwrap(), GlmEmulator::start().await.unwrap());
    let log: Arc<Mutex<String>> = Arc::default();
    let lines = log.clone();
    let base = glm.base_url();
    let env = [("KODE_GLM_BASE_URL", base.as_str()), ("ZHIPUAI_API_KEY", KEY), ("RUST_LOG", "trace")];
    let server =
        Server::start_in(dir.path(), &env, move |line| *lines.lock().unwrap() += &format!("{line}\n"));
    let words = format!("no such key {KEY}, whose parts are canary20-id and canary21-secret-of-the-model");
    glm.push(Reply::error(401, "1001", &words));
    let broken = json!({ "error": { "code": KEY, "message": words } });
    let said = json!({ "id": "g1", "choices": [{ "index": 0, "delta": { "content": "half" } }] });
    glm.push(Reply::wire([
        format!("data: {said}\n\n"),
        format!("data: {broken}\n\n"),
        "data: [DONE]\n\n".into(),
    ]));
    for _ in 0..2 {
        server.post("/api/agents/user:1/messages", &json!({ "text": "hello" })).await;
        server.until_ready("user:1").await;
    }
    let mut answers = format!("{:?}", server.events("user:1").await);
    for path in ["/api/agents/user:1/messages", "/api/agents/user:1/status", "/metrics"] {
        answers += &server.stream_text(path).await;
    }
    server.kill();
    assert!(answers.matches("\"failed\"").count() >= 2 && answers.contains("[redacted]"), "{answers}");
    let (log, store) = (log.lock().unwrap().clone(), everything(&dir.path().join(".kode")));
    for secret in [KEY, "canary20-id", "canary21-secret-of-the-model"] {
        for (place, text) in [("log", &log), ("store", &store), ("answers", &answers)] {
            assert!(!text.contains(secret), "{secret} is in the {place}");
        }
    }
}
