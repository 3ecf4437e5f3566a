//! A history that outgrows the model's window: condensed behind the user's back, durably, and within a turn's
//! bounds.

use kode_core::event::DoneReason;
use kode_core::message::Usage;
use kode_core::model::{ErrorClass, ModelError};
use kode_core::store::StoreError;
use kode_core::template::Template;
use kode_core::{Agent, CompletionStatus};
use kode_testkit::faulty::{Op, When};
use kode_testkit::scripted_model::{Gate, Script};

use crate::world::{World, kinds, template, until_rest};

fn small() -> Template {
    let mut template = template();
    (template.context.window, template.limits.max_tokens) = (Some(2_000), 100);
    template
}

/// So many estimated tokens.
fn words(tokens: usize) -> String {
    "say ".repeat(tokens)
}

/// An agent whose next turn begins with a compaction.
async fn grown(world: &World) -> Agent {
    let agent = world.agent("a").await;
    agent.complete(words(700).as_str()).await.unwrap();
    agent
}

#[tokio::test]
async fn a_summary_is_asked_for_without_tools_and_told_as_no_answer() {
    let cost = Usage { input_tokens: 1_400, output_tokens: 9, total_tokens: 1_409, ..Usage::default() };
    let world = World::with(
        small(),
        [
            Script::new().text(words(700)),
            Script::new().thinking("hm").text("They ").text("talked.").usage(cost),
            Script::new().text("Fine."),
            Script::new().text("Welcome."),
        ],
    );
    let agent = grown(&world).await;
    let sent = agent.send(words(400).as_str()).await.unwrap();
    let told = until_rest(&agent, sent.cursor).await;

    let asked = world.model.requests();
    assert_eq!((asked.len(), asked[1].tools.len(), asked[1].messages.len()), (3, 0, 1));
    assert_ne!(asked[0].request_id, asked[1].request_id);
    assert_eq!((asked[2].tools.len(), asked[2].messages.len()), (2, 2));
    assert!(asked[2].messages.get(0).unwrap().text().ends_with("They talked."));
    assert_eq!(asked[2].messages.get(1).unwrap().text(), words(400), "the request is whole");

    let chunks: Vec<_> = told.iter().filter(|e| e.json().contains("_chunk\"")).collect();
    assert!(chunks.iter().all(|e| !e.json().contains("They")), "a summary is nobody's answer: {chunks:?}");
    let end = told.iter().rfind(|e| e.json().contains("context_compression")).unwrap();
    assert!(
        end.json().contains("\"phase\":\"end\",\"ratio\":0.2") && end.json().contains("\"They talked.\"")
    );
    assert_eq!(kinds(&told).iter().filter(|kind| *kind == "context_compression").count(), 2);
    assert_eq!((agent.view().transcript.len(), agent.view().usage), (4, cost), "the history is whole");

    agent.complete("thanks").await.unwrap();
    let next = &world.model.requests()[3].messages;
    assert_eq!((next.len(), next.get(0)), (4, asked[2].messages.get(0)), "it is not condensed again");
}

#[tokio::test]
async fn g10_an_interrupt_drops_the_summary_and_the_next_message_begins_it_anew() {
    let gate = Gate::default();
    let world = World::with(
        small(),
        [
            Script::new().text(words(700)),
            Script::new().text("They").hold(&gate),
            Script::new().text("They talked."),
            Script::new().text("Fine."),
        ],
    );
    let agent = grown(&world).await;
    let sent = agent.send(words(400).as_str()).await.unwrap();
    gate.arrived().await;
    agent.interrupt("me", None).await.unwrap();
    let told = kinds(&until_rest(&agent, sent.cursor).await);
    assert_eq!(told.iter().filter(|kind| *kind == "done").count(), 1);
    let next = agent.complete("go on").await.unwrap();
    assert_eq!((next.status, next.text.as_str()), (CompletionStatus::Done(DoneReason::Completed), "Fine."));
}

#[tokio::test]
async fn a_model_that_gives_no_summary_leaves_an_excerpt_and_the_turn_goes_on() {
    let refused = ModelError::fatal(ErrorClass::ContentFiltered, "not this");
    for failing in [Script::new().text("half").panic(), Script::new().fail(refused)] {
        let world =
            World::with(small(), [Script::new().text(words(700)), failing, Script::new().text("Fine.")]);
        let agent = grown(&world).await;
        assert_eq!(agent.complete(words(400).as_str()).await.unwrap().text, "Fine.");
        let first = world.model.requests()[2].messages.get(0).unwrap().text();
        assert!(first.contains("An excerpt") && first.contains("User: say say"), "{first}");
    }
}

#[tokio::test]
async fn g1_a_store_that_fails_in_mid_compaction_loses_nothing() {
    let gate = Gate::default();
    let world = World::with(
        small(),
        [
            Script::new().text(words(700)),
            Script::new().text("They talked.").hold(&gate),
            Script::new().text("They talked again."),
            Script::new().text("Fine."),
        ],
    );
    let agent = grown(&world).await;
    let sent = agent.send(words(400).as_str()).await.unwrap();
    gate.arrived().await;
    world.faults.fail_nth(Op::Append, 1, When::Before, StoreError::Unavailable("the wire is cut".into()));
    gate.open();
    let told = kinds(&until_rest(&agent, sent.cursor).await);
    assert_eq!(told.iter().filter(|kind| *kind == "context_compression").count(), 2, "{told:?}");
    let last = world.model.requests().pop().unwrap();
    assert!(last.messages.get(0).unwrap().text().ends_with("They talked again."));
}

#[tokio::test]
async fn a_compaction_outlives_putting_away() {
    let world = World::with(
        small(),
        [
            Script::new().text(words(700)),
            Script::new().text("They talked."),
            Script::new().text("Fine."),
            Script::new().text("Welcome."),
        ],
    );
    let agent = grown(&world).await;
    agent.complete(words(400).as_str()).await.unwrap();
    assert!(agent.put_away(false).await);
    world.agent("a").await.complete("thanks").await.unwrap();
    let asked = world.model.requests();
    assert_eq!(
        asked[3].messages.get(0),
        asked[2].messages.get(0),
        "the same bytes, for the provider's cache"
    );
    assert_eq!(asked[3].messages.len(), 4);
}
