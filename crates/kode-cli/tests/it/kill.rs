//! G1, G2, G3, G4 against the real process: `kill -9` in mid-turn, again and again, on one store.

use std::collections::{BTreeMap, BTreeSet};

use kode_testkit::rounds::rounds;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Dice, PATIENCE, Server};

const AGENTS: u64 = 12;

#[tokio::test]
async fn g1_g2_g3_g4_hold_over_kill_9_in_mid_turn() {
    let dir = TempDir::new().unwrap();
    let mut dice = Dice::new(20_261_123);
    let mut acknowledged: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let kills = rounds("kill -9 of the server in mid-turn", 200, 2_000);
    for round in 0..kills {
        let server = Server::start(&dir);
        let agent = format!("user:{}", dice.below(AGENTS));
        for _ in 0..=dice.below(2) {
            let text = format!("write f{}.txt round {round}", dice.below(3));
            if let Some((202, queued)) =
                server.try_post(&format!("/api/agents/{agent}/messages"), &json!({ "text": text })).await
            {
                acknowledged
                    .entry(agent.clone())
                    .or_default()
                    .insert(queued["messageId"].as_str().unwrap().into());
            }
        }
        read_some(&server, &agent, dice.below(60)).await;
        server.kill();
    }
    let server = Server::start(&dir);
    let mut messages = 0;
    for (agent, acknowledged) in &acknowledged {
        server.until_ready(agent).await;
        check_events(agent, &server.events(agent).await, acknowledged);
        check_history(agent, &history(&server, agent).await, acknowledged);
        messages += acknowledged.len();
    }
    println!("{kills} kills, {messages} acknowledged messages: none lost, none twice");
}

/// Reads events of the run under way until so many have come, so that the kill hits different places.
async fn read_some(server: &Server, agent: &str, events: u64) {
    let reading = async {
        let mut stream = server.stream(&format!("/api/agents/{agent}/stream")).await;
        let mut seen = 0;
        while seen < events {
            let Ok(Some(piece)) = stream.chunk().await else { return };
            seen += piece.windows(6).filter(|w| w == b"\ndata:").count() as u64;
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("the stream goes on or ends");
}

fn check_events(agent: &str, events: &[Value], acknowledged: &BTreeSet<String>) {
    let cursors: Vec<u64> = events.iter().map(|e| e["cursor"].as_u64().unwrap()).collect();
    assert!(cursors.windows(2).all(|w| w[0] < w[1]), "{agent}: cursors do not rise");
    let of = |kind: &str, field: &[&str]| -> Vec<String> {
        let told = events.iter().filter(|e| e["event"]["type"] == kind);
        told.map(|e| field.iter().fold(&e["event"], |v, f| &v[*f]).as_str().unwrap().to_owned()).collect()
    };
    let (starts, ends) = (of("tool:start", &["call", "id"]), of("tool:end", &["call", "id"]));
    let once: BTreeSet<_> = starts.iter().collect();
    assert_eq!(
        (once.len(), starts.len()),
        (ends.len(), ends.len()),
        "{agent}: a call started or ended twice"
    );
    assert_eq!(once, ends.iter().collect(), "{agent}: a call has no end");
    let mut answered = BTreeMap::new();
    for event in events.iter().filter(|e| e["event"]["type"] == "done") {
        for id in event["event"]["messageIds"].as_array().unwrap() {
            *answered.entry(id.as_str().unwrap().to_owned()).or_insert(0) += 1;
        }
    }
    assert!(answered.values().all(|n| *n == 1), "{agent}: a message was answered twice");
    let lost: Vec<_> = acknowledged.iter().filter(|id| !answered.contains_key(*id)).collect();
    assert!(lost.is_empty(), "{agent}: acknowledged and never answered: {lost:?}");
}

async fn history(server: &Server, agent: &str) -> Vec<Value> {
    let (mut all, mut after): (Vec<Value>, Option<Value>) = (Vec::new(), None);
    loop {
        let from = after.map(|a| format!("&after={}", a.to_string().trim_matches('"'))).unwrap_or_default();
        let (status, page) = server.get(&format!("/api/agents/{agent}/messages?limit=1000{from}")).await;
        assert_eq!(status, 200, "{page}");
        all.extend(page["messages"].as_array().unwrap().iter().cloned());
        match page.get("next").filter(|next| !next.is_null()) {
            Some(next) => after = Some(next.clone()),
            None => return all,
        }
    }
}

fn check_history(agent: &str, messages: &[Value], acknowledged: &BTreeSet<String>) {
    let ids: Vec<&str> = messages.iter().map(|m| m["id"].as_str().unwrap()).collect();
    for id in acknowledged {
        assert_eq!(ids.iter().filter(|i| *i == id).count(), 1, "{agent}: {id} is not once in the history");
    }
    let blocks = |message: &Value, kind: &str, field: &str| -> Vec<Value> {
        let content = message["content"].as_array().unwrap();
        content.iter().filter(|b| b["type"] == kind).map(|b| b[field].clone()).collect()
    };
    for (at, message) in messages.iter().enumerate() {
        let asked = blocks(message, "tool_use", "id");
        if !asked.is_empty() {
            let results = messages.get(at + 1).map(|next| blocks(next, "tool_result", "toolUseId"));
            assert_eq!(results, Some(asked), "{agent}: a call without its one result");
        }
    }
}
