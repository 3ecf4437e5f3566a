//! The main job: a message over HTTP, the answer streamed back, a file written by a tool, all there again
//! after `kill -9`.

use serde_json::json;
use tempfile::TempDir;

use crate::harness::Server;

#[tokio::test]
async fn a_turn_is_streamed_a_file_is_written_and_all_is_there_after_kill_9() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir);

    let (status, queued) =
        server.post("/api/agents/user:1/messages", &json!({ "text": "write a.txt hi there" })).await;
    assert_eq!(status, 202, "{queued}");
    let since = &queued["cursor"];
    let told = server.stream_text(&format!("/api/agents/user:1/stream?since={since}")).await;
    for part in ["text_chunk", "tool:start", "tool:end", "done"] {
        assert!(told.contains(&format!("\"type\":\"{part}\"")), "{part} is missing in {told}");
    }
    assert_eq!(std::fs::read_to_string(dir.path().join("workspace/user:1/a.txt")).unwrap(), "hi there");
    let (events, messages) = (server.events("user:1").await, server.get("/api/agents/user:1/messages").await);
    server.kill();

    let server = Server::start(&dir);
    assert_eq!(server.events("user:1").await, events, "the same events under the same cursors");
    assert_eq!(server.get("/api/agents/user:1/messages").await, messages);
    let (status, again) = server.post("/api/agents/user:1/messages", &json!({ "text": "read a.txt" })).await;
    assert_eq!(status, 202, "{again}");
    assert!(again["cursor"].as_u64() > events.last().unwrap()["cursor"].as_u64());
    let told = server.stream_text(&format!("/api/agents/user:1/stream?since={}", again["cursor"])).await;
    assert!(told.contains("hi there"), "{told}");
}

#[tokio::test]
async fn chunks_arrive_one_by_one_and_not_at_the_end() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir);
    let (_, queued) = server.post("/api/agents/a/messages", &json!({ "text": "hello" })).await;
    let mut stream = server.stream(&format!("/api/agents/a/stream?since={}", queued["cursor"])).await;
    let mut first_chunk_before_done = false;
    let mut pieces = 0;
    let mut seen = String::new();
    while let Some(piece) = stream.chunk().await.unwrap() {
        pieces += 1;
        seen.push_str(&String::from_utf8_lossy(&piece));
        first_chunk_before_done |= seen.contains("\"text_chunk\"") && !seen.contains("\"done\"");
    }
    assert!(first_chunk_before_done, "the first chunk came with the end");
    assert!(pieces > 10, "{pieces} pieces for a whole answer");
}

#[tokio::test]
async fn users_have_their_own_agents_files_and_histories() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir);
    for user in ["alice", "bob"] {
        let (status, sent) = server
            .post(&format!("/api/chat/{user}"), &json!({ "message": format!("write secret.txt of-{user}") }))
            .await;
        assert_eq!((status, &sent["agentId"]), (200, &json!(format!("user:{user}"))));
    }
    for (user, other) in [("alice", "bob"), ("bob", "alice")] {
        server.until_ready(&format!("user:{user}")).await;
        let (_, messages) = server.get(&format!("/api/agents/user:{user}/messages")).await;
        assert!(messages.to_string().contains(&format!("of-{user}")));
        assert!(!messages.to_string().contains(other), "{user} sees {other}");
        let file = dir.path().join(format!("workspace/user:{user}/secret.txt"));
        assert_eq!(std::fs::read_to_string(file).unwrap(), format!("of-{user}"));
    }
}
