//! An agent of the fixtures in a store in memory: whole, once, resumable, and with a prompt that a model takes.

use std::path::Path;

use kode_core::id::{AgentId, Millis, Seq};
use kode_core::machine::{State, View, render};
use kode_core::store::memory::MemoryStore;
use kode_core::store::{After, Catalog, Journal, Leases};
use kode_core::template::Template;
use kode_import::{Source, Written};
use kode_testkit::store_suite::run;

const NOW: Millis = 1_767_225_600_000;

fn fixtures() -> Source {
    Source::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/upstream")).unwrap()
}

fn template() -> Template {
    Template::new("chat-assistant", "You are a test.")
}

async fn folded(store: &MemoryStore, agent: &AgentId) -> State {
    let mut state = State::default();
    for entry in store.read(agent, After::Seq(Seq::ZERO), 1_000).await.unwrap() {
        state.evolve(&entry);
    }
    state
}

#[test]
fn g1_an_agent_is_there_as_a_whole_once_and_at_rest() {
    run(async {
        let (store, source) = (MemoryStore::default(), fixtures());
        let agent = source.agent("agt-01HQ3V8K7M2N4P5R6S7T8V9W0X", NOW).unwrap();
        let id = agent.id.clone();
        assert_eq!(agent.clone().would_write(&store, &template(), NOW).await.unwrap(), Written::New);
        assert_eq!(store.list("", None, 10).await.unwrap(), [], "a dry run made an agent");
        assert_eq!(agent.clone().write(&store, &template(), NOW).await.unwrap(), Written::New);
        let state = folded(&store, &id).await;
        assert_eq!(agent.clone().would_write(&store, &template(), NOW).await.unwrap(), Written::Known);
        assert_eq!(agent.write(&store, &template(), NOW).await.unwrap(), Written::Known);
        assert_eq!(folded(&store, &id).await, state);
        assert_eq!(store.unfinished().await.unwrap(), []);

        let view = View::of(&state);
        assert!(view.at_rest);
        assert_eq!((view.created_at, view.updated_at, view.steps), (1_735_810_200_000, NOW, 3));
        assert_eq!((view.transcript.len(), state.records.len(), view.todos.version), (6, 1, 2));
        assert_eq!(view.metadata["plan"], "free");
        let prompt = render(&state, &template());
        let last = prompt.messages.last().unwrap();
        assert_eq!((last.text(), last.seq > Seq(2)), ("不客气 😀".to_owned(), true));
    });
}

/// Nothing that the import makes can have the name of what the agent makes later.
#[test]
fn g2_later_calls_and_messages_have_names_of_their_own() {
    run(async {
        let store = MemoryStore::default();
        let agent = fixtures().agent("user:broken", NOW).unwrap();
        let id = agent.id.clone();
        agent.write(&store, &template(), NOW).await.unwrap();
        let state = folded(&store, &id).await;
        let messages = state.transcript.iter().map(|message| message.id.to_string());
        let names: Vec<String> =
            messages.chain(state.records.iter().map(|call| call.id.to_string())).collect();
        assert_eq!(names.len(), 13);
        let imported = |name: &&String| name.starts_with("imported_") || name.starts_with("call_imported_");
        assert_eq!(names.iter().find(|name| !imported(name)), None);
    });
}
