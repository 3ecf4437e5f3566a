//! Events page by page.

use kode_core::id::{AgentId, Seq};
use kode_core::store::After;
use kode_testkit::scripted_model::Script;
use serde_json::{Value, json};

use crate::world::{Frame, PANIC_SECRET, World};

async fn page(world: &World, query: &str) -> (Vec<u64>, u64, bool) {
    let page = world.get(&format!("/api/agents/a/events{query}")).await.json;
    let cursors = page["events"].as_array().unwrap().iter().map(|e| e["cursor"].as_u64().unwrap());
    (cursors.collect(), page["next"].as_u64().unwrap(), page["end"].as_bool().unwrap())
}

#[tokio::test]
async fn g4_pages_follow_on_each_other_and_tell_what_a_stream_tells() {
    let world = World::new();
    for text in ["one", "two"] {
        world.turn("a", text).await;
    }
    let streamed =
        world.listen("/api/agents/a/stream?since=0&channels=progress,monitor,control").await.rest().await;
    let all: Vec<u64> = streamed.iter().map(|frame| frame.id).collect();
    let (mut paged, mut since) = (Vec::new(), 0);
    loop {
        let (cursors, next, end) = page(&world, &format!("?since={since}&limit=3")).await;
        assert!(cursors.len() <= 3);
        paged.extend(cursors);
        since = next;
        if end {
            break;
        }
    }
    assert_eq!(paged, all);
    let whole = world.get("/api/agents/a/events").await.json;
    let data: Vec<&Value> = streamed.iter().map(|Frame { data, .. }| data).collect();
    assert_eq!(whole["events"].as_array().unwrap().iter().collect::<Vec<_>>(), data);
}

#[tokio::test]
async fn a_page_without_matches_still_moves_on() {
    let world = World::new();
    world.turn("a", "one").await;
    let (_, head, _) = page(&world, "").await;
    assert_eq!(page(&world, "?channels=control").await, (vec![], head, true));
    assert_eq!(page(&world, &format!("?since={head}")).await, (vec![], head, true));
    let refused = [
        (format!("?since={}", head + 1), "cursor_from_future"),
        ("?since=x".into(), "invalid_cursor"),
        ("?channels=gossip".into(), "invalid_query"),
        ("?limit=-1".into(), "invalid_query"),
    ];
    for (query, code) in refused {
        assert_eq!(
            world.get(&format!("/api/agents/a/events{query}")).await.refusal(),
            (400, code),
            "{query}"
        );
    }
    assert_eq!(page(&world, "?limit=1000000").await.2, json!(true));
}

#[tokio::test]
async fn what_is_older_than_the_retention_is_gone_with_the_place_where_the_rest_begins() {
    let world = World::forgetting(1_000);
    world.turn("a", "old").await;
    let (old, head, _) = page(&world, "").await;
    world.clock.advance(5_000);
    // At rest for long: nothing is left to be told, and the head is still a place.
    assert_eq!(page(&world, "?since=0").await, (vec![], head, true));
    assert_eq!(page(&world, &format!("?since={head}")).await.1, head);
    world.turn("a", "young").await;
    let (young, _, _) = page(&world, "").await;
    assert!(!young.is_empty() && young.iter().all(|cursor| *cursor > head));
    for cursor in [1, old[0], head - 1] {
        for path in ["events", "stream"] {
            let answer = world.get(&format!("/api/agents/a/{path}?since={cursor}")).await;
            assert_eq!(answer.refusal(), (410, "cursor_expired"), "{path} {cursor}");
            assert_eq!(answer.json["oldest"], head);
        }
    }
    let path = format!("/api/agents/a/stream?since={head}&channels=progress,monitor,control");
    let told: Vec<u64> = world.listen(&path).await.rest().await.iter().map(|frame| frame.id).collect();
    assert_eq!(told, young);
    let from_zero = world.listen("/api/agents/a/stream?since=0&channels=progress,monitor,control").await;
    assert_eq!(from_zero.rest().await.len(), young.len());
    // The messages are state, and stay.
    let messages = world.get("/api/agents/a/messages").await.json;
    assert_eq!(messages["messages"].as_array().unwrap().len(), 4);
}

/// The words of a panic are for the log alone.
#[tokio::test]
async fn what_a_panic_says_is_in_no_event_answer_or_journal() {
    let world = World::playing([Script::new().call("broken", json!({})), Script::new().text("ok")]);
    world.turn("a", "go").await;
    let mut told = String::new();
    for path in ["events?channels=progress,control,monitor", "messages", "status"] {
        told += &world.get(&format!("/api/agents/a/{path}")).await.json.to_string();
    }
    let journal =
        world.pool.runtime().store().read(&AgentId::new("a").unwrap(), After::Seq(Seq(0)), 1_000).await;
    told += &format!("{:?}", journal.unwrap());
    assert!(told.contains("tool_panicked"), "{told}");
    assert!(!told.contains(PANIC_SECRET), "{told}");
}
