//! The emulator over a bare socket, so that no client's habits hide what it sends.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Gate, GlmEmulator, Outcome, Reply};

/// The body of a request that breaks no rule.
fn good(stream: bool) -> Value {
    json!({"model": "glm-4.6", "stream": stream, "messages": [{"role": "user", "content": "hi"}]})
}

fn raw(path: &str, body: &Value) -> String {
    let body = body.to_string();
    format!("POST {path} HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Sends one request and reads its whole answer.
async fn talk(emulator: &GlmEmulator, request: &str) -> String {
    let mut socket = TcpStream::connect(emulator.address()).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"0\r\n\r\n") {
        assert_ne!(socket.read_buf(&mut answer).await.unwrap(), 0, "cut: {answer:?}");
    }
    String::from_utf8(answer).unwrap()
}

const CHAT: &str = "/v1/chat/completions";

#[tokio::test]
async fn only_data_frames_are_sent_and_the_last_chunk_has_finish_and_usage() {
    let emulator = GlmEmulator::start().await.unwrap();
    emulator.push(Reply::text("ab").pieces(2).usage(3, 4));
    let answer = talk(&emulator, &raw(CHAT, &good(true))).await;
    let frames: Vec<&str> = answer.lines().filter(|line| line.contains(':')).skip(2).collect();
    assert!(frames.iter().all(|frame| frame.starts_with("data: ")), "{answer}");
    let last: Value = serde_json::from_str(&frames[2]["data: ".len()..]).unwrap();
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert_eq!((&last["usage"]["prompt_tokens"], &last["usage"]["total_tokens"]), (&json!(3), &json!(7)));
    assert_eq!((frames.len(), frames[3]), (4, "data: [DONE]"));
    assert_eq!(emulator.outcome(0).await, Outcome::Served);
}

#[tokio::test]
async fn g2_a_request_that_breaks_a_rule_is_refused_and_noted() {
    let emulator = GlmEmulator::start().await.unwrap();
    emulator.push(Reply::text("not for such a request"));
    let mut bad = good(true);
    bad["messages"] = json!([{"role": "tool", "tool_call_id": "a", "content": "x"}]);
    let broken = "message 0: a result for \"a\", which no open call has";
    let answer = talk(&emulator, &raw(CHAT, &bad)).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("which no open call has"), "{answer}");
    assert_eq!(emulator.violations(), [broken]);
    emulator.tolerate_violations();
    let answer = talk(&emulator, &raw(CHAT, &bad)).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("not for such a request"), "{answer}");
    assert_eq!(emulator.violations(), [broken, broken]);
}

#[tokio::test]
async fn a_wrong_path_and_an_unscripted_request_are_told_apart() {
    let emulator = GlmEmulator::start().await.unwrap();
    let wrong = talk(&emulator, &raw("/api/paas/v4/v1/chat/completions", &good(true))).await;
    assert!(wrong.starts_with("HTTP/1.1 404 ") && wrong.contains("\"error\":\"Not Found\""), "{wrong}");
    assert_eq!(emulator.requests().len(), 0);
    let unscripted = talk(&emulator, &raw(CHAT, &good(true))).await;
    assert!(
        unscripted.starts_with("HTTP/1.1 400 ") && unscripted.contains("no answer scripted"),
        "{unscripted}"
    );
}

#[tokio::test]
async fn a_whole_answer_comes_where_no_stream_was_asked_for() {
    let emulator = GlmEmulator::start().await.unwrap();
    emulator.respond(|request| Reply::text(request.last_message()["content"].as_str().unwrap()));
    let answer = talk(&emulator, &raw(CHAT, &good(false))).await;
    assert!(answer.contains("application/json") && answer.contains("\"content\":\"hi\""), "{answer}");
    assert!(!answer.contains("data:"), "{answer}");
}

#[tokio::test]
async fn a_client_that_goes_away_is_noticed_with_what_it_had() {
    let (emulator, gate) = (GlmEmulator::start().await.unwrap(), Gate::closed());
    emulator.push(Reply::text("abc").pieces(3).held_by(&gate));
    let mut socket = TcpStream::connect(emulator.address()).await.unwrap();
    socket.write_all(raw(CHAT, &good(true)).as_bytes()).await.unwrap();
    gate.release(2);
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("\"content\":\"b\"") {
        assert_ne!(socket.read_buf(&mut seen).await.unwrap(), 0);
    }
    drop(socket);
    assert_eq!(emulator.outcome(0).await, Outcome::ClientClosed { writes: 2 });
}
