//! What is left of effects that were given up: threads and processes that take a moment to be gone.

use std::collections::HashMap;

use futures_util::future::join_all;
use tokio::task::Id;

use crate::tool::Leash;

/// Effects that were given up, by the tasks that ran them, as long as anything of them is held.
#[derive(Default)]
pub(super) struct Leaving(HashMap<Id, Left>);

struct Left {
    leash: Leash,
    awaited: bool,
}

impl Leaving {
    /// Remembers one, and whether the writer's end waits for it. Few are, so looking at each costs little, and nothing
    /// is kept of those that are gone.
    pub(super) fn add(&mut self, task: Id, leash: Leash, awaited: bool) {
        self.0.retain(|_, left| left.leash.is_held());
        self.0.insert(task, Left { leash, awaited });
    }

    /// Returns once nothing of that task's effect is left; `None` where nothing is.
    pub(super) fn released(&self, task: &Id) -> Option<impl Future<Output = ()> + Send + 'static> {
        self.0.get(task).filter(|left| left.leash.is_held()).map(|left| left.leash.released())
    }

    /// Returns once nothing is left of those that the writer's end waits for.
    pub(super) async fn all_released(&self) {
        let awaited = self.0.values().filter(|left| left.awaited);
        join_all(awaited.map(|left| left.leash.released())).await;
    }
}
