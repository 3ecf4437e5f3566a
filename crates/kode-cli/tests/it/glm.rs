//! The real binary against a GLM over HTTP: what the model is asked, what the user sees, what is cancelled.

use std::sync::{Arc, Mutex};

use kode_testkit::glm_emulator::{Gate, GlmEmulator, Outcome, Reply};
use serde_json::json;
use tempfile::TempDir;

use crate::harness::Server;

const KEY: &str = "testid.testsecret-that-nobody-may-see";

struct Bench {
    dir: TempDir,
    glm: GlmEmulator,
    server: Server,
    log: Arc<Mutex<String>>,
}

impl Bench {
    async fn new() -> Self {
        Self::with("").await
    }

    /// With a configuration.
    async fn with(config: &str) -> Self {
        let (dir, glm) = (TempDir::new().unwrap(), GlmEmulator::start().await.unwrap());
        std::fs::write(dir.path().join("kode.toml"), config).unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let lines = log.clone();
        let note = move |line: &str| *lines.lock().unwrap() += &format!("{line}\n");
        let server = Server::start_with_glm(&dir, &glm.base_url(), KEY, note);
        Self { dir, glm, server, log }
    }

    /// Sends a message and gives everything that its turn told.
    async fn turn(&self, text: &str) -> String {
        let (status, sent) = self.server.post("/api/agents/user:1/messages", &json!({ "text": text })).await;
        assert_eq!(status, 202, "{sent}");
        let since = &sent["cursor"];
        let path = format!("/api/agents/user:1/stream?since={since}&channels=progress,control,monitor");
        self.server.stream_text(&path).await
    }

    /// `kill -9`, and a new server on the same files.
    fn restart(self) -> Self {
        let Self { dir, glm, server, log } = self;
        server.kill();
        let lines = log.clone();
        let note = move |line: &str| *lines.lock().unwrap() += &format!("{line}\n");
        let server = Server::start_with_glm(&dir, &glm.base_url(), KEY, note);
        Self { dir, glm, server, log }
    }

    /// The key is in no event, file or line of the log, and no request broke a rule of the model's.
    fn check(&self, told: &str) {
        assert_eq!(self.glm.violations(), Vec::<String>::new());
        let secret = KEY.split_once('.').unwrap().1;
        assert!(!told.contains(secret) && !self.log.lock().unwrap().contains(secret), "the key was shown");
        let journal = self.dir.path().join(".kode/user:1/journal-1.jsonl");
        assert!(!std::fs::read_to_string(journal).unwrap().contains(secret), "the key was stored");
    }
}

#[tokio::test]
async fn a_tool_loop_with_glm_writes_a_file_and_answers() {
    let bench = Bench::new().await;
    bench
        .glm
        .push(Reply::call("fs_write", &json!({ "path": "a.txt", "content": "茶" })).thinking("write it"));
    bench.glm.push(Reply::text("It is written.").pieces(3));
    let told = bench.turn("write tea").await;
    for part in ["\"tool:end\"", "\"COMPLETED\"", "It is written.", "\"completed\""] {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
    assert_eq!(std::fs::read_to_string(bench.dir.path().join("workspace/user:1/a.txt")).unwrap(), "茶");
    bench.check(&told);
}

#[tokio::test]
async fn g9_a_cut_stream_is_voided_and_tried_again_and_a_refused_key_fails_the_turn() {
    let bench = Bench::new().await;
    bench.glm.push(Reply::text("half an answer that never ends").pieces(6).cut_after(3));
    bench.glm.push(Reply::text("a whole answer"));
    let told = bench.turn("hello").await;
    assert!(told.contains("\"text_reset\"") && told.contains("a whole answer"), "{told}");

    bench.glm.push(Reply::error(401, "1002", &format!("the token {KEY} is invalid")));
    let told = bench.turn("again").await;
    assert!(told.contains("\"failed\"") && told.contains("\"code\":\"auth\""), "{told}");
    bench.check(&told);
}

#[tokio::test]
async fn an_interrupt_closes_the_connection_as_the_model_sees_it() {
    let bench = Bench::new().await;
    let gate = Gate::closed();
    bench.glm.push(Reply::text("one two three four").pieces(4).held_by(&gate));
    bench.glm.push(Reply::text("well"));
    let sent = bench.server.post("/api/agents/user:1/messages", &json!({ "text": "count" })).await.1;
    gate.release(2);
    bench.glm.request(0).await;
    let (status, _) = bench.server.post("/api/agents/user:1/interrupt", &json!({})).await;
    assert_eq!(status, 202);
    assert!(matches!(bench.glm.outcome(0).await, Outcome::ClientClosed { .. }));
    let told = bench.server.stream_text(&format!("/api/agents/user:1/stream?since={}", sent["cursor"])).await;
    assert_eq!(told.matches("\"interrupted\"").count(), 1, "{told}");
    let told = bench.turn("go on").await;
    assert!(told.contains("well"), "{told}");
    bench.check(&told);
}

/// An answer that asks for this file under an id of the model's that is always the same.
fn same_id(path: &str) -> Reply {
    let arguments = json!({ "path": path, "content": path }).to_string();
    let call = json!({ "index": 0, "id": "same", "type": "function", "function": { "name": "fs_write", "arguments": arguments } });
    let delta = json!({ "role": "assistant", "tool_calls": [call] });
    let chunk = json!({ "id": path, "created": 1, "model": "glm", "choices": [{ "index": 0, "delta": delta, "finish_reason": "tool_calls" }] });
    Reply::wire([format!("data: {chunk}\n\n"), "data: [DONE]\n\n".to_owned()])
}

/// Scenario 50. Upstream's SQL stores key records by the model's id, and such ids collide [S]. Here an id is kode's own, and the model is answered under it.
#[tokio::test]
async fn g2_ids_that_the_model_repeats_are_told_apart_over_turns_and_agents() {
    let bench = Bench::new().await;
    for (agent, path) in [("user:1", "a"), ("user:1", "b"), ("user:2", "c")] {
        bench.glm.push(same_id(path));
        bench.glm.push(Reply::text("written"));
        let sent =
            bench.server.post(&format!("/api/agents/{agent}/messages"), &json!({ "text": path })).await;
        assert_eq!(sent.0, 202, "{}", sent.1);
        bench.server.until_ready(agent).await;
    }
    let ended = async |agent: &str| -> Vec<(String, String)> {
        let events = bench.server.events(agent).await;
        let ends = events.iter().filter(|e| e["event"]["type"] == "tool:end").map(|e| &e["event"]["call"]);
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        ends.map(|call| (text(&call["id"]), text(&call["state"]))).collect()
    };
    let call = |id: &str| (id.to_owned(), "COMPLETED".to_owned());
    assert_eq!(ended("user:1").await, [call("call_1_0"), call("call_3_0")]);
    assert_eq!(ended("user:2").await, [call("call_1_0")]);
    for (agent, path) in [("user:1", "a"), ("user:1", "b"), ("user:2", "c")] {
        let file = bench.dir.path().join("workspace").join(agent).join(path);
        assert_eq!(std::fs::read_to_string(file).unwrap(), path);
    }
    bench.check("");
}

/// What GLM reports of the first turn is nearly its whole window: the next turn begins with a summary, and a new
/// server goes on from it.
#[tokio::test]
async fn g2_a_history_that_fills_the_models_window_is_condensed_and_stays_so_over_a_restart() {
    let bench = Bench::new().await;
    bench.glm.push(Reply::call("fs_write", &json!({ "path": "a.txt", "content": "tea" })).usage(60_000, 5));
    bench.glm.push(Reply::text("It is written.").usage(125_000, 5));
    bench.turn(&"a long story about tea, ".repeat(200)).await;

    bench.glm.push(Reply::text("They wrote tea into a.txt.").pieces(3).usage(2_000, 9));
    bench.glm.push(Reply::text("Tea.").usage(900, 3));
    let told = bench.turn("what is in it?").await;
    let asked = bench.glm.request(2).await;
    assert_eq!((&asked.body["tools"], asked.body["messages"].as_array().unwrap().len()), (&json!(null), 2));
    assert!(asked.last_message()["content"].as_str().unwrap().contains("Assistant called: fs_write"));
    let shorter = bench.glm.request(3).await;
    let messages = shorter.body["messages"].as_array().unwrap();
    assert!(messages[1]["content"].as_str().unwrap().ends_with("They wrote tea into a.txt."));
    assert_eq!((messages.len(), &messages[2]["content"]), (3, &json!("what is in it?")));
    assert_eq!(told.matches("\"context_compression\"").count(), 2, "{told}");
    assert!(!told.contains("\"delta\":\"They"), "a summary is nobody's answer: {told}");

    let bench = bench.restart();
    bench.glm.push(Reply::text("You are welcome.").usage(950, 3));
    let told = bench.turn("thank you").await;
    let next = bench.glm.request(4).await;
    assert_eq!(next.body["messages"][1], messages[1], "the same bytes, for the provider's cache");
    assert!(!told.contains("context_compression"), "{told}");
    let (_, page) = bench.server.get("/api/agents/user:1/messages").await;
    assert_eq!(page["messages"].as_array().unwrap().len(), 8, "the history is whole: {page}");
    bench.check(&told);
}

/// Sends a message, interrupts its run once a stream has told of this, and gives all that the run told.
async fn interrupted_at(bench: &Bench, told_of: &str) -> String {
    let asked_before = bench.glm.requests().len();
    let (status, sent) = bench.server.post("/api/agents/user:1/messages", &json!({ "text": "go" })).await;
    assert_eq!(status, 202, "{sent}");
    let path =
        format!("/api/agents/user:1/stream?since={}&channels=progress,control,monitor", sent["cursor"]);
    let mut stream = bench.server.stream(&path).await;
    let (mut told, mut asked) = (String::new(), false);
    while let Some(piece) = stream.chunk().await.unwrap() {
        told.push_str(&String::from_utf8_lossy(&piece));
        if !asked && told.contains(told_of) {
            bench.glm.request(asked_before).await;
            let (status, answer) = bench.server.post("/api/agents/user:1/interrupt", &json!({})).await;
            assert_eq!((status, &answer["status"]), (202, &json!("interrupting")));
            asked = true;
        }
    }
    assert_eq!(told.matches("\"reason\":\"interrupted\"").count(), 1, "{told}");
    told
}

#[tokio::test]
async fn an_interrupt_in_each_phase_ends_the_run_and_the_model_is_asked_no_more() {
    let config = "default_template='asks'\n[[template]]\nid='asks'\nsystem_prompt='p'\ntools='*'\n\
                  permission={require_approval=['fs_write']}\n";
    let bench = Bench::with(config).await;
    let write = Reply::call("fs_write", &json!({ "path": "a.txt", "content": "x" }));
    // Not even the status of the answer has come; the pieces hold; a person is asked; the next attempt is far.
    let phases = [
        (
            Reply::text("never").stalling_after(0),
            "STREAMING_MODEL",
            Some(Outcome::ClientClosed { writes: 0 }),
        ),
        (
            Reply::text("one two").pieces(2).stalling_after(2),
            "text_chunk\"",
            Some(Outcome::ClientClosed { writes: 2 }),
        ),
        (write, "permission_required", Some(Outcome::Served)),
        (Reply::error(429, "1302", "too many").header("retry-after", "100"), "\"severity\"", None),
    ];
    for (nth, (reply, told_of, outcome)) in phases.into_iter().enumerate() {
        let before = bench.glm.requests().len();
        bench.glm.push(reply);
        let mut told = interrupted_at(&bench, told_of).await;
        let ended = bench.glm.outcome(before).await;
        assert!(outcome.is_none_or(|outcome| outcome == ended), "phase {nth}: {ended:?}");
        assert_eq!(bench.glm.requests().len(), before + 1, "phase {nth}: the model was asked again");
        bench.glm.push(Reply::text("well"));
        told += &bench.turn("and now?").await;
        assert!(told.contains("well") && told.ends_with("\n\n"), "{told}");
        let idle = bench.server.post("/api/agents/user:1/interrupt", &json!({})).await;
        assert_eq!((idle.0, &idle.1["status"]), (202, &json!("idle")));
        bench.check(&told);
    }
    assert!(!bench.dir.path().join("workspace/user:1/a.txt").exists(), "nobody allowed the call");
}
