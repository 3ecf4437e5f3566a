//! The server on a real socket: many clients, lost connections, and an end in order.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use kode_server::serve;
use kode_testkit::scripted_model::{Gate, Script};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::world::{Frame, World};

struct Server {
    address: SocketAddr,
    running: JoinHandle<std::io::Result<()>>,
}

async fn start(world: &World) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let running = serve(listener, world.pool.clone(), world.config.clone(), world.shutdown.clone());
    Server { address, running: tokio::spawn(running) }
}

/// One request over a connection of its own. HTTP/1.0: the body is what comes until the end.
struct Client {
    status: u16,
    lines: BufReader<TcpStream>,
}

impl Client {
    async fn ask(server: &Server, head: &str, body: &str) -> Self {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let length = body.len();
        let request = format!(
            "{head}host: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut lines = BufReader::new(stream);
        let mut line = String::new();
        lines.read_line(&mut line).await.unwrap();
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        while line != "\r\n" {
            line.clear();
            lines.read_line(&mut line).await.unwrap();
        }
        Self { status, lines }
    }

    async fn listen(server: &Server, path: &str, last: Option<u64>) -> Self {
        let last = last.map(|id| format!("last-event-id: {id}\r\n")).unwrap_or_default();
        Self::ask(server, &format!("GET {path} HTTP/1.0\r\n{last}"), "").await
    }

    async fn post(server: &Server, path: &str, body: Value) -> Value {
        let mut client = Self::ask(server, &format!("POST {path} HTTP/1.0\r\n"), &body.to_string()).await;
        let mut answer = String::new();
        client.lines.read_to_string(&mut answer).await.unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    async fn next(&mut self) -> Option<Frame> {
        let mut block = String::new();
        loop {
            let before = block.len();
            if self.lines.read_line(&mut block).await.unwrap() == 0 {
                return None;
            }
            match &block[before..] {
                line if line.starts_with(':') => block.truncate(before),
                "\n" => return Some(Frame::parse(block.trim_end())),
                _ => {}
            }
        }
    }

    async fn rest(mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            frames.push(frame);
        }
        frames
    }

    async fn until(&mut self, kind: &str) -> Frame {
        loop {
            let frame = self.next().await.expect("the stream goes on");
            if frame.kind() == kind {
                return frame;
            }
        }
    }
}

#[tokio::test]
async fn chunks_reach_a_client_one_by_one_as_the_model_says_them() {
    let gates: Vec<Gate> = (0..5).map(|_| Gate::default()).collect();
    let script = gates
        .iter()
        .enumerate()
        .fold(Script::new(), |script, (n, gate)| script.text(n.to_string()).hold(gate));
    let world = World::playing([script]);
    let server = start(&world).await;
    let queued = Client::post(&server, "/api/agents/a/messages", json!({ "text": "count" })).await;
    let path = format!("/api/agents/a/stream?since={}", queued["cursor"]);
    let mut client = Client::listen(&server, &path, None).await;
    for (n, gate) in gates.iter().enumerate() {
        assert_eq!(client.until("text_chunk").await.data["event"]["delta"], n.to_string());
        gate.open();
    }
    assert_eq!(client.until("text_chunk_end").await.data["event"]["text"], "01234");
    assert_eq!(client.rest().await.last().unwrap().kind(), "done");
}

#[tokio::test]
async fn g4_a_hundred_readers_see_the_same_events_also_those_who_lose_their_connections() {
    let gates: Vec<Gate> = (0..10).map(|_| Gate::default()).collect();
    let script = gates.iter().fold(Script::new(), |script, gate| script.text("word ").hold(gate));
    let world = World::playing([script]);
    let server = start(&world).await;
    let queued = Client::post(&server, "/api/agents/a/messages", json!({ "text": "talk" })).await;
    let path = format!("/api/agents/a/stream?since={}", queued["cursor"]);
    let steady = (0..80).map(|_| async { Client::listen(&server, &path, None).await.rest().await });
    let (server, path) = (&server, &path);
    let flaky = (0..20).map(|n: usize| async move {
        let (mut seen, mut client) = (Vec::new(), Client::listen(server, path, None).await);
        while let Some(frame) = client.next().await {
            let last = frame.id;
            let is_done = frame.kind() == "done";
            seen.push(frame);
            // Each loses its connection at places of its own, and goes on where it was.
            if !is_done && seen.len() % (n % 5 + 1) == 0 {
                client = Client::listen(server, path, Some(last)).await;
            }
        }
        seen
    });
    let speaking = async {
        for gate in &gates {
            gate.arrived().await;
            gate.open();
        }
    };
    let (steady, flaky, ()) = tokio::join!(join_all(steady), join_all(flaky), speaking);
    let ids: Vec<u64> = steady[0].iter().map(|frame| frame.id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b) && steady[0].last().unwrap().kind() == "done");
    assert!(steady.iter().chain(&flaky).all(|seen| *seen == steady[0]));
    let over = Client::listen(server, path, ids.last().copied()).await;
    assert_eq!(over.status, 204);
}

#[tokio::test]
async fn g10_a_reader_that_does_not_read_is_cut_and_neither_the_run_nor_other_readers_notice() {
    // The whole text comes twice: in pieces, and at its end. More than any system buffers for one socket.
    let piece = "x".repeat(256 << 10);
    let script = (0..32).fold(Script::new(), |script, _| script.text(piece.clone()));
    let mut world = World::playing([script]);
    world.config.stalled_reader = Duration::from_secs(1);
    let server = start(&world).await;
    let queued = Client::post(&server, "/api/agents/a/messages", json!({ "text": "flood" })).await;
    let path = format!("/api/agents/a/stream?since={}", queued["cursor"]);
    let stalled = Client::listen(&server, &path, None).await;
    let told = Client::listen(&server, &path, None).await.rest().await;
    assert_eq!(told.last().unwrap().kind(), "done");
    let mut stalled = stalled.lines.into_inner();
    // The server closes the connection while this end has read nothing.
    while !matches!(stalled.try_write(b"x"), Err(error) if error.kind() != std::io::ErrorKind::WouldBlock) {
        tokio::task::yield_now().await;
    }
    let (mut got, mut buffer) = (0, vec![0; 64 << 10]);
    while let Ok(n @ 1..) = stalled.read(&mut buffer).await {
        got += n;
    }
    assert!(got < 16 << 20, "all of it reached a reader that did not read");
}

#[tokio::test]
async fn shutdown_ends_streams_and_then_the_server_while_the_run_goes_on() {
    let world = World::held(10);
    let server = start(&world).await;
    Client::post(&server, "/api/agents/a/messages", json!({ "text": "work" })).await;
    let mut client = Client::listen(&server, "/api/agents/a/stream", None).await;
    client.until("state_changed").await;
    world.shutdown.cancel();
    client.rest().await;
    server.running.await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
    let agent = world.pool.get(&kode_core::id::AgentId::new("a").unwrap()).await.unwrap();
    assert!(!agent.view().at_rest);
}

#[tokio::test]
async fn a_connection_serves_many_requests_in_turn() {
    let world = World::new();
    let server = start(&world).await;
    let mut stream = BufReader::new(TcpStream::connect(server.address).await.unwrap());
    for _ in 0..3 {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let (mut head, mut body) = (String::new(), [0; 15]);
        while !head.ends_with("\r\n\r\n") {
            stream.read_line(&mut head).await.unwrap();
        }
        stream.read_exact(&mut body).await.unwrap();
        assert!(head.starts_with("HTTP/1.1 200"));
        assert_eq!(&body, b"{\"status\":\"ok\"}");
    }
}
