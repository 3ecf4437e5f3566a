//! Turns, subscriptions, and being put away.

use std::sync::Arc;

use futures_util::StreamExt;
use kode_core::event::{Channels, DoneReason, Event};
use kode_core::fact::IdempotencyKey;
use kode_core::id::Cursor;
use kode_core::machine::Rejected;
use kode_core::message::Usage;
use kode_core::price::{Price, Prices};
use kode_core::template::Template;
use kode_core::{CompletionStatus, Outgoing, SendError};
use kode_testkit::scripted_model::{Gate, Script};
use serde_json::json;

use crate::world::{World, kinds, until_rest};

#[tokio::test]
async fn a_turn_with_a_tool_is_told_in_order() {
    let world = World::new([
        Script::new().text("I ").text("look.").call("slow", json!({})),
        Script::new().text("Done."),
    ]);
    world.gate.open();
    let agent = world.agent("a").await;
    let sent = agent.send("go").await.unwrap();
    let told = kinds(&until_rest(&agent, sent.cursor).await);
    let progress: Vec<&str> =
        told.iter().map(String::as_str).filter(|k| !k.contains("changed") && *k != "token_usage").collect();
    assert_eq!(
        progress,
        [
            "text_chunk_start",
            "text_chunk",
            "text_chunk",
            "text_chunk_end",
            "tool:start",
            "tool_custom_event",
            "tool_executed",
            "tool:end",
            "step_complete",
            "text_chunk_start",
            "text_chunk",
            "text_chunk_end",
            "step_complete",
            "done",
        ]
    );
    assert_eq!(agent.view().transcript.len(), 4);
    assert_eq!(world.model.requests()[1].messages.len(), 3);
}

#[tokio::test]
async fn a_chunk_reaches_a_subscriber_before_the_next_is_said() {
    let (first, second) = (Gate::default(), Gate::default());
    let script = Script::new().text("one").hold(&first).text("two").hold(&second).text("three");
    let world = World::new([script]);
    let agent = world.agent("a").await;
    let sent = agent.send("count").await.unwrap();
    let mut events = agent.subscribe(Channels::ALL, sent.cursor);
    for (word, gate) in [("one", &first), ("two", &second)] {
        loop {
            let envelope = events.next().await.unwrap();
            if envelope.json().contains(&format!("\"delta\":\"{word}\"")) {
                break;
            }
            assert!(!envelope.json().contains("\"done\""), "{word} was told with the end");
        }
        gate.open();
    }
    until_rest(&agent, sent.cursor).await;
}

#[tokio::test]
async fn g4_a_hundred_subscribers_share_one_copy_and_see_the_same() {
    let world = World::new([Script::new().text("a").text("b").text("c")]);
    let agent = world.agent("a").await;
    let cursor = agent.view().cursor;
    // Readers keep the hub's events alive while the agent is at rest.
    let mut readers: Vec<_> = (0..100).map(|_| agent.subscription(cursor)).collect();
    agent.send("go").await.unwrap();
    let expected = until_rest(&agent, cursor).await;
    for reader in &mut readers {
        for event in &expected {
            let own = reader.next().await.unwrap().unwrap();
            assert!(Arc::ptr_eq(&own, event), "a reader has a copy of its own of {event:?}");
        }
    }
}

/// Scenarios 6 and 7. Upstream loses or doubles what is told meanwhile [S].
#[tokio::test]
async fn g4_any_cursor_gives_exactly_what_follows_live_or_replayed() {
    let script = || Script::new().text("x").call("slow", json!({}));
    let world = World::new([script(), Script::new().text("y"), script(), Script::new().text("z")]);
    world.gate.open();
    let agent = world.agent("a").await;
    for text in ["one", "two"] {
        agent.complete(text).await.unwrap();
    }
    let all: Vec<Cursor> = collect(&world, Cursor::ZERO).await;
    assert!(all.windows(2).all(|w| w[0] < w[1]));
    for (at, cursor) in all.iter().enumerate() {
        assert_eq!(collect(&world, *cursor).await, all[at + 1..], "after {cursor}");
    }
}

async fn collect(world: &World, after: Cursor) -> Vec<Cursor> {
    let mut reader = world.runtime.subscription(&world.id("a"), after);
    let mut cursors = Vec::new();
    while let Some(envelope) = reader.next_ready().await.unwrap() {
        cursors.push(envelope.cursor);
    }
    cursors
}

#[tokio::test]
async fn an_agent_is_put_away_and_goes_on_where_it_was() {
    let world = World::new([Script::new().text("one"), Script::new().text("two")]);
    let agent = world.agent("a").await;
    agent.complete("1").await.unwrap();
    assert!(agent.put_away(false).await);
    assert!(matches!(agent.send("gone").await, Err(SendError::Gone)));
    let again = world.agent("a").await;
    let completion = again.complete("2").await.unwrap();
    assert_eq!(
        (completion.status, completion.text.as_str()),
        (CompletionStatus::Done(DoneReason::Completed), "two")
    );
    assert_eq!(world.model.requests()[1].messages.len(), 3);
}

#[tokio::test]
async fn a_busy_agent_is_not_put_away_and_one_without_handles_ends_its_turn_first() {
    let gate = Gate::default();
    let world = World::new([Script::new().text("a").hold(&gate)]);
    let agent = world.agent("a").await;
    let sent = agent.send("go").await.unwrap();
    assert!(!agent.put_away(false).await);
    let mut events = world.runtime.subscription(agent.id(), sent.cursor);
    drop(agent);
    gate.open();
    while let Some(envelope) = events.next().await.unwrap() {
        if envelope.json().contains("\"done\"") {
            break;
        }
    }
}

#[tokio::test]
async fn g1_a_repeated_request_queues_nothing_and_gets_the_first_answer() {
    let world = World::new([Script::new().text("one")]);
    let agent = world.agent("a").await;
    let request = |digest: &str| Outgoing {
        key: Some(IdempotencyKey { key: "k".into(), digest: digest.into() }),
        ..Outgoing::from("hello")
    };
    let first = agent.send(request("same")).await.unwrap();
    until_rest(&agent, first.cursor).await;
    assert_eq!(agent.send(request("same")).await.unwrap(), first);
    assert_eq!(agent.send(request("other")).await, Err(SendError::Rejected(Rejected::KeyReused)));
    assert_eq!(world.model.requests().len(), 1);
}

#[tokio::test]
async fn a_deleted_agent_ends_its_run_its_streams_and_does_not_come_back() {
    let gate = Gate::default();
    let world = World::new([Script::new().text("a").hold(&gate), Script::new().text("new")]);
    let agent = world.agent("a").await;
    agent.send("go").await.unwrap();
    let events = agent.subscribe(Channels::ALL, Cursor::ZERO);
    gate.arrived().await;
    agent.delete().await.unwrap();
    let told: Vec<_> = events.collect().await;
    assert!(told.last().unwrap().json().contains("\"interrupted\""), "{told:?}");
    assert!(world.runtime.look(agent.id()).await.unwrap().is_none());
    let last = told.last().unwrap().cursor;
    let again = world.agent("a").await;
    assert!(again.view().transcript.is_empty() && again.view().cursor > last, "the name's cursors go on");
}

/// Scenario 51. Upstream adds manual and skills to the shared template with each agent [S].
#[tokio::test]
async fn g11_every_agent_is_told_the_same_of_itself_and_its_tools() {
    let world = World::new((0..50).map(|_| Script::new().text("hello")));
    for n in 0..50 {
        world.agent(&format!("user:{n}")).await.complete("hi").await.unwrap();
    }
    let requests = world.model.requests();
    let first = &requests[0];
    assert!(requests.iter().all(|r| r.system == first.system && Arc::ptr_eq(&r.tools, &first.tools)));
}

#[tokio::test]
async fn a_callback_ends_with_its_handle_and_is_bound_anew_at_each_resume() {
    let world = World::new([Script::new().text("one"), Script::new().text("two")]);
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    for text in ["1", "2"] {
        let agent = world.agent("a").await;
        let told = told.clone();
        agent.on(
            |event| matches!(event, Event::Done { .. }),
            move |envelope| told.send(envelope.cursor).expect("the test listens"),
        );
        agent.complete(text).await.unwrap();
        agent.put_away(false).await;
    }
    drop(told);
    let mut dones = Vec::new();
    while let Some(cursor) = heard.recv().await {
        dones.push(cursor);
    }
    assert_eq!(dones.len(), 2, "each done is heard once: {dones:?}");
}

#[tokio::test]
async fn an_answer_says_what_it_cost_and_the_agent_what_all_of_them_did() {
    let price = Price { input: 600_000, cached: 110_000, output: 2_200_000 };
    let usage = Usage { input_tokens: 1_000, cached_tokens: 400, output_tokens: 7, ..Usage::default() };
    let scripts = || (0..3).map(move |_| Script::new().text("ok").usage(usage));
    let prices = Prices::new("CNY", [("priced".to_owned(), price)]);
    let named = |model: &str| Template { model: Some(model.to_owned()), ..crate::world::template() };
    let world = World::built(named("priced"), scripts(), |builder| builder.prices(prices.clone()));
    let agent = world.agent("a").await;
    for turn in 1..=3 {
        let sent = agent.send("go").await.unwrap();
        let told = until_rest(&agent, sent.cursor).await;
        let costs: Vec<u64> = told
            .iter()
            .filter_map(|told| match &told.event {
                Event::TokenUsage { usage } => Some(usage.cost_micros),
                _ => None,
            })
            .collect();
        // 600 × 0.6 + 400 × 0.11 + 7 × 2.2 millionths, to the nearest.
        assert_eq!(costs, [419]);
        assert_eq!(agent.view().usage.cost_micros, 419 * turn);
    }
    let other = World::built(named("another"), scripts(), |builder| builder.prices(prices));
    let agent = other.agent("a").await;
    until_rest(&agent, agent.send("go").await.unwrap().cursor).await;
    assert_eq!(agent.view().usage, Usage { total_tokens: agent.view().usage.total_tokens, ..usage });
}
