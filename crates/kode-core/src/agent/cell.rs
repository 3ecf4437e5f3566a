//! What a driver and the handles of its agent share: the view, and whether anybody drives the agent still.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::SetOnce;

use crate::hub::Feed;
use crate::id::{AgentId, Millis};
use crate::machine::View;

/// What a driver and the handles of its agent share.
pub(crate) struct Cell {
    pub(crate) id: AgentId,
    pub(crate) feed: Arc<Feed>,
    view: RwLock<Arc<View>>,
    /// Until when nobody else writes to the agent; for ever before it is leased.
    held_until: AtomicU64,
    /// Whether the task that drove the agent for these handles has ended.
    ended: SetOnce<()>,
}

impl Cell {
    pub(crate) fn new(id: AgentId, feed: Arc<Feed>, view: View) -> Self {
        Self {
            id,
            feed,
            view: RwLock::new(Arc::new(view)),
            held_until: AtomicU64::new(Millis::MAX),
            ended: SetOnce::new(),
        }
    }

    pub(crate) fn show(&self, view: View) {
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(view);
    }

    /// Until when nobody else writes to it.
    pub(super) fn held_until(&self) -> Millis {
        self.held_until.load(Ordering::Acquire)
    }

    /// The lease was granted, or prolonged.
    pub(crate) fn hold_until(&self, at: Millis) {
        self.held_until.store(at, Ordering::Release);
    }

    /// Says that nobody drives the agent for these handles any more.
    pub(crate) fn end(&self) {
        let _ = self.ended.set(());
    }

    /// Returns once nobody does.
    pub(super) async fn ended(&self) {
        self.ended.wait().await;
    }

    pub(crate) fn view(&self) -> Arc<View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
