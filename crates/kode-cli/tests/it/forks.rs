//! Forks of the real process: made while their parent works, killed, and going on by themselves.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Mutex;

use futures_util::future::join_all;
use kode_testkit::glm_emulator::{Gate, GlmEmulator, Reply};
use kode_testkit::rounds::rounds;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Dice, Server};

/// Forks asked for at once, each under a name of its own.
const AT_ONCE: usize = 8;

async fn turn(server: &Server, agent: &str, text: &str) {
    let (status, sent) =
        server.post(&format!("/api/agents/{agent}/messages"), &json!({ "text": text })).await;
    assert_eq!(status, 202, "{sent}");
    server.until_ready(agent).await;
}

async fn texts(server: &Server, agent: &str) -> Vec<String> {
    let (status, page) = server.get(&format!("/api/agents/{agent}/messages")).await;
    assert_eq!(status, 200, "{page}");
    let blocks = page["messages"].as_array().unwrap().iter().flat_map(|m| m["content"].as_array().unwrap());
    blocks.filter_map(|block| block["text"].as_str()).map(str::to_owned).collect()
}

#[tokio::test]
async fn g1_a_fork_of_an_agent_at_work_and_its_parent_go_on_after_kill_9() {
    let (dir, glm) = (TempDir::new().unwrap(), GlmEmulator::start().await.unwrap());
    let serve = || Server::start_with_glm(&dir, &glm.base_url(), "testid.testsecret", |_| {});
    let server = serve();
    glm.push(Reply::call("fs_write", &json!({ "path": "a.txt", "content": "tea" })));
    glm.push(Reply::text("Written."));
    turn(&server, "user:1", "write tea").await;
    let (status, named) = server.post("/api/agents/user:1/snapshots", &json!({ "label": "tea" })).await;
    assert_eq!(status, 201, "{named}");

    let gate = Gate::closed();
    glm.push(Reply::text("one two three four").pieces(4).held_by(&gate));
    let (_, sent) = server.post("/api/agents/user:1/messages", &json!({ "text": "count" })).await;
    gate.release(2);
    glm.request(2).await;
    let (status, under_way) = server.post("/api/agents/user:1/fork", &json!({})).await;
    assert_eq!(status, 201, "{under_way}");
    let under_way = under_way["agentId"].as_str().unwrap().to_owned();
    let (status, at_tea) =
        server.post("/api/agents/user:1/fork", &json!({ "at": "tea", "agentId": "user:1:tea" })).await;
    assert_eq!((status, at_tea["copied"]["files"].as_u64()), (201, Some(1)), "{at_tea}");
    server.kill();

    // The parent goes on by itself; what it had said is void, and it is asked again.
    glm.push(Reply::text("counted"));
    let server = serve();
    let told = server.stream_text(&format!("/api/agents/user:1/stream?since={}", sent["cursor"])).await;
    assert!(told.contains("counted"), "{told}");

    glm.push(Reply::call("fs_write", &json!({ "path": "a.txt", "content": "coffee" })));
    glm.push(Reply::text("Changed."));
    turn(&server, "user:1:tea", "write coffee").await;
    glm.push(Reply::text("five"));
    turn(&server, &under_way, "and now five").await;

    let before = ["write tea", "Written."];
    let all = |more: &[&str]| before.iter().chain(more).map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(texts(&server, "user:1").await, all(&["count", "counted"]));
    assert_eq!(texts(&server, "user:1:tea").await, all(&["write coffee", "Changed."]));
    assert_eq!(texts(&server, &under_way).await, all(&["count", "and now five", "five"]));
    let file = |agent: &str| fs::read_to_string(dir.path().join("workspace").join(agent).join("a.txt"));
    let files = ["user:1", "user:1:tea", &under_way].map(|agent| file(agent).unwrap());
    assert_eq!(files, ["tea", "coffee", "tea"]);
    let first = &server.events("user:1:tea").await[0]["event"];
    assert_eq!((&first["type"], &first["from"]), (&json!("agent_forked"), &json!("user:1")));
    assert_eq!(glm.violations(), Vec::<String>::new());
}

/// Whatever moment the process dies at, each name has a whole fork or none, one that was answered is there, and one
/// that is not can be made.
#[tokio::test]
async fn g1_forks_that_meet_kill_9_are_whole_or_not_there() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir);
    turn(&server, "parent", "write a.txt tea").await;
    let history = texts(&server, "parent").await;
    let head = server.events("parent").await.len();
    server.kill();

    let mut dice = Dice::new(7);
    for round in 0..rounds("kill -9 among forks", 6, 120) {
        let server = Server::start(&dir);
        let deadly = usize::try_from(dice.below(AT_ONCE as u64 + 1)).unwrap();
        let answered = Mutex::new(BTreeSet::new());
        let name = |nth: usize| format!("parent:{round}-{nth}");
        if deadly == 0 {
            server.strike();
        }
        let ask = |nth| {
            let (server, answered) = (&server, &answered);
            async move {
                let body = json!({ "agentId": name(nth) });
                let Some((status, answer)) = server.try_post("/api/agents/parent/fork", &body).await else {
                    return;
                };
                assert_eq!(status, 201, "{answer}");
                let count = {
                    let mut answered = answered.lock().unwrap();
                    answered.insert(nth);
                    answered.len()
                };
                if count == deadly {
                    server.strike();
                }
            }
        };
        join_all((0..AT_ONCE).map(ask)).await;
        drop(server);

        let server = Server::start(&dir);
        let answered = answered.into_inner().unwrap();
        for nth in 0..AT_ONCE {
            let (status, info) = server.get(&format!("/api/agents/{}", name(nth))).await;
            assert!(status == 200 || !answered.contains(&nth), "{}: answered, and not there", name(nth));
            if status != 200 {
                assert_eq!(status, 404, "{info}");
                let again = json!({ "agentId": name(nth) });
                let (status, made) = server.post("/api/agents/parent/fork", &again).await;
                assert_eq!(status, 201, "{made}");
            }
            assert_eq!(texts(&server, &name(nth)).await, history, "{}", name(nth));
            turn(&server, &name(nth), "read a.txt").await;
            let told = texts(&server, &name(nth)).await;
            assert!(told.last().unwrap().contains("tea"), "{}: {told:?}", name(nth));
        }
        assert_eq!(server.events("parent").await.len(), head, "the parent was only read");
        let (_, page) = server.get(&format!("/api/agents?prefix=parent:{round}-0")).await;
        assert_eq!(page["agents"].as_array().map(Vec::len), Some(1));
        for nth in 0..AT_ONCE {
            let path = format!("/api/agents/{}?workspace=true", name(nth));
            assert_eq!(server.delete(&path).await.0, 204);
        }
        server.kill();
    }
}

#[tokio::test]
async fn shared_files_outlive_the_fork_and_go_with_the_last_one() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir);
    turn(&server, "a", "write a.txt tea").await;
    let body = json!({ "agentId": "b", "workspace": "shared" });
    let (status, forked): (u16, Value) = server.post("/api/agents/a/fork", &body).await;
    assert_eq!(status, 201, "{forked}");
    turn(&server, "b", "write b.txt coffee").await;
    let there = |file: &str| dir.path().join("workspace/a").join(file).exists();
    assert!(there("a.txt") && there("b.txt"), "both work in one directory");
    assert_eq!(server.get("/api/agents/b").await.1["workspaceOf"], "a");

    server.kill();
    let server = Server::start(&dir);
    assert_eq!(server.delete("/api/agents/a?workspace=true").await.0, 204);
    assert!(there("a.txt") && there("b.txt"), "a fork works in it");
    turn(&server, "b", "read a.txt").await;
    assert!(texts(&server, "b").await.last().unwrap().contains("tea"));
    assert_eq!(server.delete("/api/agents/b?workspace=true").await.0, 204);
    assert!(!dir.path().join("workspace/a").exists());
}
