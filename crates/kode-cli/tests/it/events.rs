//! `kode events --follow`: each event once, in order, whatever happens to the server.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Server, kode};

/// A reader of one agent, as a process of its own.
struct Follower {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Follower {
    fn start(dir: &TempDir, more: &[&str]) -> Self {
        let mut command = kode(dir.path(), &[&["events", "a", "--json", "--follow"], more].concat());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Reads until so many turns are over.
    fn dones(&mut self, count: usize) -> Vec<Value> {
        let (mut events, mut dones) = (Vec::new(), 0);
        while dones < count {
            let line = self.lines.next().expect("the events go on").unwrap();
            let event: Value = serde_json::from_str(&line).unwrap();
            dones += usize::from(event["event"]["type"] == "done");
            events.push(event);
        }
        events
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn say(server: &Server) {
    let (status, _) = server.post("/api/agents/a/messages", &json!({ "text": "hello" })).await;
    assert_eq!(status, 202);
    server.until_ready("a").await;
}

#[tokio::test]
async fn g4_a_follower_sees_each_event_once_over_the_death_of_its_server() {
    let dir = TempDir::new().unwrap();
    let mut server = Server::start(&dir);
    say(&server).await;
    let base = server.base.clone();
    let mut follower = Follower::start(&dir, &["--server", &base]);
    let mut seen = follower.dones(1);
    for _ in 0..3 {
        say(&server).await;
        seen.extend(follower.dones(1));
        // In mid-answer: what was buffered is on the disk, and the run goes on at the next start.
        server.post("/api/agents/a/messages", &json!({ "text": "hello" })).await;
        server.kill();
        server = Server::start_at(&dir, &base);
        server.until_ready("a").await;
        seen.extend(follower.dones(1));
    }
    assert_eq!(seen, server.events("a").await);
}

#[tokio::test]
async fn g4_a_follower_of_a_store_sees_each_event_once_while_a_server_writes() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir);
    say(&server).await;
    let mut follower = Follower::start(&dir, &[]);
    let mut seen = follower.dones(1);
    for _ in 0..3 {
        say(&server).await;
        seen.extend(follower.dones(1));
    }
    assert_eq!(seen, server.events("a").await);
    let since = seen[seen.len() / 2]["cursor"].to_string();
    let mut later = Follower::start(&dir, &["--since", &since]);
    let rest: Vec<Value> = seen.iter().skip(seen.len() / 2 + 1).cloned().collect();
    let dones = rest.iter().filter(|e| e["event"]["type"] == "done").count();
    assert_eq!(later.dones(dones), rest);
    assert_eq!(server.delete("/api/agents/a").await.0, 204);
    for mut reader in [follower, later] {
        assert!(reader.lines.next().is_none(), "the agent is gone");
        assert!(reader.child.wait().unwrap().success());
    }
}

#[tokio::test]
async fn a_follower_that_nobody_reads_any_more_ends() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir);
    say(&server).await;
    for way in [&[][..], &["--server", &server.base]] {
        let mut follower = Follower::start(&dir, way);
        follower.dones(1);
        let Follower { child, lines } = &mut follower;
        // Nothing more will be told, so no write would find out.
        drop(std::mem::replace(lines, BufReader::new(closed()).lines()));
        assert!(child.wait().unwrap().success());
    }
}

/// The output of a process that printed nothing.
fn closed() -> ChildStdout {
    let mut nothing = std::process::Command::new("true").stdout(Stdio::piped()).spawn().unwrap();
    let output = nothing.stdout.take().unwrap();
    nothing.wait().unwrap();
    output
}
