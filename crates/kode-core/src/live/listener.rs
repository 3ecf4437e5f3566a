//! Tells hooks that the history grew, behind the agent's back: it waits for nobody, and a slow hook hears of
//! several changes at once.

use std::sync::Arc;

use tokio::sync::watch;

use super::Surroundings;
use super::says::ask;
use crate::hook::Hook;
use crate::message::Message;
use crate::pages::Pages;

/// The history as it was told last. The teller ends once it is dropped and everything was told.
pub(super) struct Listener(watch::Sender<Pages<Message>>);

impl Listener {
    /// Begins behind what is there; none where no hook wants to be told.
    pub(super) fn of(around: &Arc<Surroundings>, history: &Pages<Message>) -> Option<Self> {
        let hooks = around.kit.hooks().having(|points| points.messages_changed);
        if hooks.is_empty() {
            return None;
        }
        let (told, changes) = watch::channel(history.clone());
        tokio::spawn(tell(around.clone(), hooks, changes));
        Some(Self(told))
    }

    /// Shows the history of now, all of it durable.
    pub(super) fn show(&self, history: &Pages<Message>) {
        self.0.send_if_modified(|told| {
            let grew = told.len() != history.len();
            if grew {
                *told = history.clone();
            }
            grew
        });
    }
}

async fn tell(
    around: Arc<Surroundings>,
    hooks: Vec<Arc<dyn Hook>>,
    mut changes: watch::Receiver<Pages<Message>>,
) {
    let mut told = changes.borrow().len();
    while changes.changed().await.is_ok() {
        let history = changes.borrow_and_update().clone();
        let from = told.min(history.len());
        told = history.len();
        for hook in &hooks {
            let (hook, agent, history) = (hook.clone(), around.tool_cx.agent.clone(), history.clone());
            // One that fails is logged, and told of the next change all the same.
            let _ = ask(&around, async move { hook.messages_changed(&agent, &history, from).await }).await;
        }
    }
}
