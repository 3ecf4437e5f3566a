//! Events page by page.

use serde_json::{Value, json};

use crate::world::{Frame, World};

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
