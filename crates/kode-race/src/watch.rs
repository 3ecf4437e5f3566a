//! tokio's watch channel, each of its operations being one step of a race.

use shuttle::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;

pub(crate) use tokio::sync::watch::Ref;
use tokio::sync::watch::error::RecvError;

/// Here another thread may go on.
#[derive(Debug, Default)]
struct Step(AtomicBool);

impl Step {
    fn take(&self) {
        self.0.load(Ordering::SeqCst);
    }
}

/// The end that changes the value.
pub(crate) struct Sender<T>(watch::Sender<T>, Step);

/// An end that waits for changes.
pub(crate) struct Receiver<T>(watch::Receiver<T>, Step);

impl<T> Sender<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(watch::Sender::new(value), Step::default())
    }

    pub(crate) fn subscribe(&self) -> Receiver<T> {
        self.1.take();
        Receiver(self.0.subscribe(), Step::default())
    }

    pub(crate) fn send_modify(&self, modify: impl FnOnce(&mut T)) {
        self.1.take();
        self.0.send_modify(modify);
    }

    pub(crate) fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) -> bool {
        self.1.take();
        self.0.send_if_modified(modify)
    }

    pub(crate) fn receiver_count(&self) -> usize {
        self.1.take();
        self.0.receiver_count()
    }
}

impl<T> Receiver<T> {
    pub(crate) fn borrow(&self) -> Ref<'_, T> {
        self.1.take();
        self.0.borrow()
    }

    pub(crate) fn borrow_and_update(&mut self) -> Ref<'_, T> {
        self.1.take();
        self.0.borrow_and_update()
    }

    pub(crate) async fn changed(&mut self) -> Result<(), RecvError> {
        self.1.take();
        self.0.changed().await
    }
}
