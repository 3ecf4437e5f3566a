//! Agents of the race tests: nothing but whether they are gone, and whether they may sleep.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// An agent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Agent {
    gone: Arc<AtomicBool>,
}

/// An agent taken up.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    pub(crate) agent: Agent,
    pub(crate) created: bool,
}

/// What is seen of an agent: all of these are at rest.
pub(crate) struct View;

impl Agent {
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }

    pub(crate) fn go(&self) {
        self.gone.store(true, Ordering::SeqCst);
    }

    pub(crate) fn view(&self) -> View {
        View
    }
}

impl View {
    pub(crate) fn may_sleep(&self) -> bool {
        true
    }
}
