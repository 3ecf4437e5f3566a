//! The model's stand-in: answers the chat route over HTTP at once, or at a real model's pace.
//!
//! The base URL says what it answers: `/n{chunks}/d{µs between}/t{0|1}/v1`, each chunk of six characters; with `t1`
//! first a call of `fs_read {"path":"a.txt"}`, and after its result the text. It reads requests no further than it
//! must, so that what is measured is the other side.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// Serves until the process ends; tells its address first.
pub(crate) async fn serve(listener: TcpListener) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(connection(stream));
    }
}

/// Answers one request after the other.
async fn connection(mut stream: TcpStream) -> anyhow::Result<()> {
    let mut bytes = Vec::with_capacity(16 << 10);
    let mut plans: Vec<(String, Arc<Plan>)> = Vec::new();
    while let Some(request) = Request::read(&mut stream, &mut bytes).await? {
        let known = plans.iter().find(|(path, _)| *path == request.path).map(|(_, plan)| plan.clone());
        let plan = match known {
            Some(plan) => plan,
            None => {
                let plan = Arc::new(Plan::of(&request.path)?);
                plans.push((request.path.clone(), plan.clone()));
                plan
            }
        };
        let pieces = if plan.calls && !request.has_result { &plan.call } else { &plan.text };
        if plan.between.is_zero() {
            let all: Vec<u8> = HEAD.iter().chain(pieces.iter().flatten()).copied().collect();
            stream.write_all(&all).await?;
            continue;
        }
        stream.write_all(HEAD).await?;
        let begun = tokio::time::Instant::now();
        for (nth, piece) in (0_u32..).zip(pieces) {
            tokio::time::sleep_until(begun + plan.between * nth).await;
            stream.write_all(piece).await?;
        }
    }
    Ok(())
}

/// What is looked at of a request.
struct Request {
    path: String,
    /// Whether the last message is a tool's result.
    has_result: bool,
}

impl Request {
    /// The next one, taken out of `bytes`; `None` at the connection's end.
    async fn read(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> anyhow::Result<Option<Self>> {
        let (end, path, length) = loop {
            if let Some(found) = head(bytes)? {
                break found;
            }
            if stream.read_buf(bytes).await? == 0 {
                return Ok(None);
            }
        };
        while bytes.len() < end + length {
            anyhow::ensure!(stream.read_buf(bytes).await? > 0, "a request was cut off");
        }
        let body = &bytes[end..end + length];
        let role = memchr::memmem::rfind(body, br#""role":""#).map_or(&b""[..], |at| &body[at + 8..]);
        let has_result = role.starts_with(b"tool\"");
        bytes.drain(..end + length);
        Ok(Some(Self { path, has_result }))
    }
}

/// Where a request's body begins, its path, and the body's length, once its head is whole.
fn head(bytes: &[u8]) -> anyhow::Result<Option<(usize, String, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(end) = request.parse(bytes)? else { return Ok(None) };
    let path = request.path.unwrap_or_default().to_owned();
    let length = request.headers.iter().find(|h| h.name.eq_ignore_ascii_case("content-length"));
    let length = length.context("a request without a length")?;
    Ok(Some((end, path, std::str::from_utf8(length.value)?.parse()?)))
}

/// What is answered below one base, as pieces that are ready to be sent.
struct Plan {
    between: Duration,
    calls: bool,
    text: Vec<Vec<u8>>,
    call: Vec<Vec<u8>>,
}

impl Plan {
    fn of(path: &str) -> anyhow::Result<Self> {
        let mut parts = path.split('/').skip(1);
        let mut number = |letter: char| -> anyhow::Result<u64> {
            let part = parts.next().and_then(|part| part.strip_prefix(letter));
            Ok(part.with_context(|| format!("{path}: no /{letter}NUMBER where it should be"))?.parse()?)
        };
        let (chunks, between, calls) = (number('n')?, number('d')?, number('t')? == 1);
        let words = (0..chunks).map(|_| frame(&json!({ "delta": { "content": "six ch" } })));
        let call = json!({ "delta": { "tool_calls": [{
            "index": 0, "id": "call_1", "type": "function",
            "function": { "name": "fs_read", "arguments": r#"{"path":"a.txt"}"# },
        }] } });
        Ok(Self {
            between: Duration::from_micros(between),
            calls,
            text: words.chain([last("stop", chunks)]).collect(),
            call: vec![frame(&call), last("tool_calls", 10)],
        })
    }
}

/// One frame as one piece of a chunked body.
fn frame(choice: &serde_json::Value) -> Vec<u8> {
    let mut choice = choice.clone();
    choice["index"] = 0.into();
    chunk(&json!({ "id": "answer", "model": "stand-in", "choices": [choice] }))
}

fn chunk(body: &serde_json::Value) -> Vec<u8> {
    let data = format!("data: {body}\n\n");
    format!("{:x}\r\n{data}\r\n", data.len()).into_bytes()
}

/// The frame that ends an answer, with what it cost, and the body's end.
fn last(reason: &str, tokens: u64) -> Vec<u8> {
    let usage = json!({ "prompt_tokens": 100, "completion_tokens": tokens, "total_tokens": 100 + tokens });
    let choice = json!({ "index": 0, "delta": {}, "finish_reason": reason });
    let mut bytes =
        chunk(&json!({ "id": "answer", "model": "stand-in", "choices": [choice], "usage": usage }));
    bytes.extend_from_slice(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
    bytes
}
