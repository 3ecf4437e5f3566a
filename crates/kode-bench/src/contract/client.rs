//! One user over HTTP, as little of one as will do: what is measured is the other side.
//!
//! It keeps one connection, posts a message that asks for its events in the answer, and reads them to `done`.

use std::net::Ipv4Addr;
use std::time::Instant;

use anyhow::Context as _;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A user with a connection.
pub(crate) struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    bytes: Vec<u8>,
}

/// What a turn looked like.
#[derive(Default, Clone, Copy)]
pub(crate) struct Answer {
    /// Milliseconds until `done`.
    pub(crate) ms: f64,
    /// Milliseconds until the first piece of text.
    pub(crate) first_ms: f64,
    /// Events seen.
    pub(crate) events: usize,
    /// Characters of text seen.
    pub(crate) chars: usize,
}

impl Client {
    /// Connects as the user of this name.
    pub(crate) async fn connect(port: u16, user: String) -> anyhow::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.set_nodelay(true)?;
        let body = r#"{"message":"and then?"}"#;
        let request = format!(
            "POST /api/chat/{user} HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        Ok(Self { stream, request: request.into_bytes(), bytes: Vec::with_capacity(32 << 10) })
    }

    /// Sends a message, and reads the answer to its end.
    pub(crate) async fn turn(&mut self) -> anyhow::Result<Answer> {
        let begun = Instant::now();
        let mut answer = Answer::default();
        self.stream.write_all(&self.request).await?;
        self.bytes.clear();
        loop {
            anyhow::ensure!(
                self.stream.read_buf(&mut self.bytes).await? > 0,
                "the server closed the connection"
            );
            if answer.first_ms == 0.0
                && memchr::memmem::find(&self.bytes, br#""type":"text_chunk""#).is_some()
            {
                answer.first_ms = begun.elapsed().as_secs_f64() * 1e3;
            }
            if self.bytes.ends_with(b"\r\n0\r\n\r\n") {
                break;
            }
        }
        answer.ms = begun.elapsed().as_secs_f64() * 1e3;
        anyhow::ensure!(
            self.bytes.starts_with(b"HTTP/1.1 200"),
            "refused: {}",
            String::from_utf8_lossy(&self.bytes)
        );
        self.count(&mut answer)?;
        Ok(answer)
    }

    /// Counts what came, once the clock has stopped.
    fn count(&self, answer: &mut Answer) -> anyhow::Result<()> {
        let text = std::str::from_utf8(&self.bytes)?;
        let mut done = false;
        for line in text.lines() {
            let Some(data) = line.strip_prefix("data: ") else { continue };
            let event: Value = serde_json::from_str(data)?;
            answer.events += 1;
            let event = event.get("event").unwrap_or(&event);
            answer.chars += event["delta"].as_str().map_or(0, str::len);
            done |= event["type"] == "done";
        }
        anyhow::ensure!(done, "an answer without done");
        Ok(())
    }

    /// What the server has used so far.
    pub(crate) async fn stats(port: u16) -> anyhow::Result<Value> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream
            .write_all(b"GET /bench/stats HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            .await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        let (_, body) = text.split_once("\r\n\r\n").context("an answer without a body")?;
        Ok(serde_json::from_str(body)?)
    }
}
