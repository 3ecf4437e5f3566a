//! A whole turn as a client sees it, kept as a snapshot.

use kode_core::message::Usage;
use kode_testkit::scripted_model::Script;
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn a_turn_with_a_tool_reads_like_this() {
    let usage = Usage { input_tokens: 12, output_tokens: 5, total_tokens: 17, ..Usage::default() };
    let world = World::playing([
        Script::new().text("Let me look.").call("slow", json!({ "path": "a.txt" })).usage(usage),
        Script::new().text("It is slow.").usage(usage),
    ]);
    world.gate.open();
    let queued = world.post("/api/agents/user:1/messages", json!({ "text": "look" })).await;
    let path = format!("/api/agents/user:1/stream?since={}", queued.json["cursor"]);
    let mut stream = world.listen(&path).await;
    let mut wire = String::new();
    while let Some(block) = stream.block().await {
        wire.push_str(&block);
        wire.push_str("\n\n");
    }
    insta::assert_snapshot!(redacted(&wire, queued.json["cursor"].as_u64().unwrap()));
}

/// Cursors count from the first one here; times are zero.
fn redacted(wire: &str, from: u64) -> String {
    let mut text = wire.to_owned();
    for n in (1..=99).rev() {
        text = text.replace(&(from + n).to_string(), &format!("C+{n}"));
    }
    let now = kode_core::clock::Clock::now(&kode_testkit::clock::SimClock::default());
    text.replace(&now.to_string(), "T")
}
