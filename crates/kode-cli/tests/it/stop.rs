//! SIGTERM under many live turns: the server ends by itself within its grace, and the next one goes on with what was
//! not done. Nothing that was acknowledged is lost, nothing is done twice, and no event is told twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use kode_testkit::glm_emulator::{Gate, GlmEmulator, Reply, Request};
use kode_testkit::rounds::rounds;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{PATIENCE, Server};

/// What the server says in its own code, and what ending takes beyond it on a busy machine.
const GRACE: Duration = Duration::from_secs(10);
const SLACK: Duration = Duration::from_secs(20);
const ALL: &str = "channels=progress,control,monitor";

/// What the turn of an agent is doing when the signal comes.
fn kind(agent: u64) -> &'static str {
    ["quick", "long", "work"][usize::try_from(agent % 3).unwrap()]
}

/// The model: each agent's answers wait at its gate; `work` writes a file first.
fn answer(request: &Request, gates: &[Gate]) -> Reply {
    let asked = request.body.to_string();
    // The last name of an agent that is followed by its dot: every message has one.
    let number = asked.rsplit("agent-").find_map(|rest| rest.split_once('.')?.0.parse::<usize>().ok());
    let gate = &gates[number.expect("somebody asks")];
    let last = request.last_message();
    if last["role"] == "user" && last.to_string().contains("work") {
        return Reply::call("fs_write", &json!({ "path": "a.txt", "content": "done" }));
    }
    Reply::text("one two three four five six seven").pieces(7).held_by(gate)
}

struct Users {
    agents: u64,
    /// What was acknowledged: by agent, message ids in order.
    acknowledged: BTreeMap<u64, Vec<String>>,
}

fn path(agent: u64) -> String {
    format!("/api/agents/user:{agent}/messages")
}

impl Users {
    /// Sends one message to each agent at the same time, again until it is acknowledged where `until` says so.
    async fn send(&mut self, server: &Server, nth: u64, until_taken: bool) -> usize {
        let sends = (0..self.agents).map(|agent| async move {
            let body = json!({ "text": format!("{} agent-{agent}. message {nth}", kind(agent)) });
            loop {
                let key = format!("{agent}-{nth}");
                match server.try_post_with_key(&path(agent), &key, &body).await {
                    Some((202, sent)) => break Some(sent["messageId"].as_str().unwrap().to_owned()),
                    Some((503, _)) | None if !until_taken => break None,
                    Some((503, _)) | None => tokio::task::yield_now().await,
                    Some((status, refused)) => panic!("{status}: {refused}"),
                }
            }
        });
        let taken: Vec<_> = join_all(sends).await;
        let count = taken.iter().flatten().count();
        for (agent, id) in (0..).zip(taken) {
            let known = self.acknowledged.entry(agent).or_default();
            known.extend(id.filter(|id| !known.contains(id)));
        }
        count
    }
}

/// The ids of a stream's events, up to where the server ends it.
async fn listen(server: &Server, agent: u64) -> Vec<u64> {
    let stream = server.stream(&format!("/api/agents/user:{agent}/stream?since=0&follow=true&{ALL}")).await;
    assert_eq!(stream.status(), 200, "agent {agent}");
    let text = stream.text().await.expect("a server that drains ends its streams in order");
    text.lines().filter_map(|line| line.strip_prefix("id: ")).map(|id| id.parse().unwrap()).collect()
}

/// Each acknowledged message is answered once, each tool started once, each event told once.
fn check(agent: u64, events: &[Value], acknowledged: &[String]) {
    let cursors: Vec<u64> = events.iter().map(|event| event["cursor"].as_u64().unwrap()).collect();
    assert!(cursors.is_sorted_by(|a, b| a < b), "agent {agent}: a cursor came twice");
    let kinds =
        |wanted: &'static str| events.iter().map(|e| &e["event"]).filter(move |e| e["type"] == wanted);
    let answered: Vec<&str> = kinds("done")
        .flat_map(|done| done["messageIds"].as_array().unwrap())
        .map(|id| id.as_str().unwrap())
        .collect();
    assert_eq!(answered, acknowledged, "agent {agent}: what was acknowledged is answered once, in order");
    assert!(kinds("done").all(|done| done["reason"] == "completed"), "agent {agent}");
    let mut started: Vec<String> = kinds("tool:start").map(|start| start["call"]["id"].to_string()).collect();
    let starts = started.len();
    started.sort();
    started.dedup();
    assert_eq!(started.len(), starts, "agent {agent}: a tool started twice");
    assert_eq!(starts, if kind(agent) == "work" { acknowledged.len() } else { 0 });
}

fn start(dir: &TempDir, glm: &GlmEmulator) -> Server {
    Server::start_with_glm(dir, &glm.base_url(), "testid.testsecret-that-nobody-may-see", |_| {})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_g3_g4_sigterm_under_many_live_turns_loses_and_doubles_nothing() {
    let agents = rounds("live turns at a SIGTERM", 45, 200);
    let (dir, glm) = (TempDir::new().unwrap(), GlmEmulator::start().await.unwrap());
    let gates: Vec<Gate> = (0..agents).map(|_| Gate::closed()).collect();
    let held = gates.clone();
    glm.respond(move |request| answer(request, &held));
    let server = Arc::new(start(&dir, &glm));
    let mut users = Users { agents, acknowledged: BTreeMap::new() };
    assert_eq!(users.send(&server, 1, true).await as u64, agents);
    let streams = (0..agents).map(|agent| {
        let server = server.clone();
        tokio::spawn(async move { listen(&server, agent).await })
    });
    let streams: Vec<_> = streams.collect();
    // All turns are at the model: those that work have asked twice. A part of each answer is told.
    let requests = (0..agents).map(|agent| if kind(agent) == "work" { 2 } else { 1 }).sum::<usize>();
    tokio::time::timeout(PATIENCE, glm.request(requests - 1)).await.expect("every turn is live");
    gates.iter().for_each(|gate| gate.release(3));

    let began = Instant::now();
    let ending = tokio::task::spawn_blocking({
        let server = server.clone();
        move || server.terminate()
    });
    (0..agents).filter(|agent| kind(*agent) == "quick").for_each(|agent| gates[agent as usize].open());
    let late = users.send(&server, 2, false).await;
    let status = tokio::time::timeout(PATIENCE, ending).await.expect("it ends").unwrap();
    let took = began.elapsed();
    assert!(status.success(), "{status}");
    assert!(took < GRACE + SLACK, "it took {took:?}");
    let seen = join_all(streams).await;

    gates.iter().for_each(Gate::open);
    drop(server);
    let server = start(&dir, &glm);
    users.send(&server, 2, true).await;
    for (agent, seen) in (0..agents).zip(seen) {
        server.until_ready(&format!("user:{agent}")).await;
        let events = server.events(&format!("user:{agent}")).await;
        check(agent, &events, &users.acknowledged[&agent]);
        let (seen, told) = (seen.unwrap(), events.iter().map(|event| event["cursor"].as_u64().unwrap()));
        let last = *seen.last().unwrap_or_else(|| panic!("agent {agent}: the stream told nothing"));
        assert_eq!(
            seen,
            told.take_while(|id| *id <= last).collect::<Vec<_>>(),
            "agent {agent}: the stream's part"
        );
    }
    assert_eq!(glm.violations(), Vec::<String>::new());
    println!(
        "{agents} live turns: the end took {took:?}; {late} messages were taken meanwhile; 0 lost, 0 doubled"
    );
}

/// A server with one turn that waits at the model, told to stop.
async fn draining(dir: &TempDir, glm: &GlmEmulator, gate: &Gate) -> Server {
    let held = gate.clone();
    glm.respond(move |_| Reply::text("one two three").pieces(3).held_by(&held));
    let server = start(dir, glm);
    let (status, _) = server.post("/api/agents/user:1/messages", &json!({ "text": "hello" })).await;
    assert_eq!(status, 202);
    tokio::time::timeout(PATIENCE, glm.request(0)).await.expect("the turn is live");
    server.signal(Signal::TERM);
    let mut beat = tokio::time::interval(Duration::from_millis(5));
    while server.get("/readyz").await.0 == 200 {
        beat.tick().await;
    }
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_drains_tells_what_runs_to_its_end_and_takes_nothing_new() {
    let (dir, glm, gate) = (TempDir::new().unwrap(), GlmEmulator::start().await.unwrap(), Gate::closed());
    let server = draining(&dir, &glm, &gate).await;
    let (status, refused) = server.get("/readyz").await;
    assert_eq!((status, &refused["code"]), (503, &json!("draining")));
    assert_eq!(server.get("/healthz").await.0, 200);
    for agent in ["user:1", "user:2"] {
        let path = format!("/api/agents/{agent}/messages");
        let (status, refused) = server.post(&path, &json!({ "text": "more" })).await;
        assert_eq!((status, &refused["code"]), (503, &json!("draining")), "{refused}");
    }
    let mut stream = server.stream("/api/agents/user:1/stream?since=0").await;
    assert_eq!(stream.status(), 200, "a reader may come still");
    gate.open();
    let mut told = String::new();
    while let Some(piece) = stream.chunk().await.expect("the stream ends in order") {
        told.push_str(&String::from_utf8_lossy(&piece));
    }
    assert!(told.contains("\"type\":\"done\""), "{told}");
    assert!(server.until_ended().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_told_twice_to_stop_waits_for_nothing() {
    let (dir, glm, gate) = (TempDir::new().unwrap(), GlmEmulator::start().await.unwrap(), Gate::closed());
    let server = draining(&dir, &glm, &gate).await;
    server.signal(Signal::INT);
    assert_eq!(server.until_ended().await.code(), Some(130));
    gate.open();
    drop(server);
    let server = start(&dir, &glm);
    server.until_ready("user:1").await;
    let events = server.events("user:1").await;
    let dones: Vec<_> = events.iter().filter(|event| event["event"]["type"] == "done").collect();
    assert_eq!(dones.len(), 1, "the turn went on at the next start: {events:?}");
    assert_eq!(dones[0]["event"]["reason"], "completed");
}
