//! Hooks that are told of new messages, behind the agent's back.

use std::sync::Arc;

use async_trait::async_trait;
use kode_core::hook::{Hook, HookPoints};
use kode_core::id::AgentId;
use kode_core::message::Message;
use kode_core::pages::Pages;
use kode_testkit::scripted_model::Script;

use crate::world::{World, template};

/// Scenario 24: told behind the agent's back, of everything once and in order, the last before the agent is gone.
#[tokio::test]
async fn hooks_hear_of_every_new_message_once() {
    let (heard, told) = tokio::sync::watch::channel(Vec::<std::ops::Range<usize>>::new());
    struct Hears(tokio::sync::watch::Sender<Vec<std::ops::Range<usize>>>);
    #[async_trait]
    impl Hook for Hears {
        fn points(&self) -> HookPoints {
            HookPoints { messages_changed: true, ..HookPoints::NONE }
        }

        async fn messages_changed(&self, _: &AgentId, messages: &Pages<Message>, from: usize) {
            self.0.send_modify(|heard| heard.push(from..messages.len()));
        }
    }
    let scripts = [Script::new().text("one"), Script::new().text("two")];
    let world = World::built(template(), scripts, |builder| builder.hook(Arc::new(Hears(heard))));
    for (text, all) in [("1", 2), ("2", 4)] {
        let agent = world.agent("a").await;
        agent.complete(text).await.unwrap();
        agent.put_away(false).await;
        let mut told = told.clone();
        told.wait_for(|heard| heard.last().is_some_and(|last| last.end == all)).await.unwrap();
    }
    let joined = told.borrow().clone();
    assert_eq!((joined[0].start, joined.last().unwrap().end), (0, 4));
    assert!(joined.windows(2).all(|pair| pair[0].end == pair[1].start), "each once, in order: {joined:?}");
}
