//! The thread that waits for the disk so that no other has to: it makes durable what was written, again and again,
//! and tells all who asked meanwhile. So what comes in while one sync lasts shares the next.
//!
//! It knows neither agents nor files.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{Builder, JoinHandle};

use kode_core::store::{StoreError, StoreResult};
use tokio::sync::oneshot::{self, Receiver, Sender};

use crate::store::Store;

/// The thread of one open store, begun when it is first needed. Dropped, it is over once everybody was told.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    store: Arc<Store>,
    asked: Mutex<Asked>,
    rang: Condvar,
}

#[derive(Default)]
struct Asked {
    waiting: Vec<Sender<StoreResult<()>>>,
    stop: bool,
}

impl Committer {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        let shared = Shared { store, asked: Mutex::default(), rang: Condvar::new() };
        Self { shared: Arc::new(shared), thread: Mutex::default() }
    }

    /// Asks for what was written before the call to be made durable; tells once it is, or is not.
    pub(crate) fn commit(&self) -> Receiver<StoreResult<()>> {
        let (sender, receiver) = oneshot::channel();
        let first = {
            let mut asked = self.shared.lock();
            asked.waiting.push(sender);
            asked.waiting.len() == 1
        };
        if first {
            self.wake();
        }
        receiver
    }

    fn wake(&self) {
        self.shared.rang.notify_one();
        let mut thread = self.thread.lock().expect(UNSHAKEN);
        if thread.is_none() {
            let shared = self.shared.clone();
            match Builder::new().name("kode-store-commit".into()).spawn(move || shared.run()) {
                Ok(begun) => *thread = Some(begun),
                Err(error) => self.shared.refuse(&error),
            }
        }
    }
}

const UNSHAKEN: &str = "nothing panics while it holds this lock";

impl Shared {
    fn run(&self) {
        loop {
            let mut asked = self.lock();
            while asked.waiting.is_empty() && !asked.stop {
                asked = self.rang.wait(asked).expect(UNSHAKEN);
            }
            let waiting = std::mem::take(&mut asked.waiting);
            drop(asked);
            if waiting.is_empty() {
                return;
            }
            let done = self.store.commit();
            for sender in waiting {
                // Who is gone has no use for it.
                let _ = sender.send(done.clone());
            }
        }
    }

    fn refuse(&self, error: &std::io::Error) {
        let why = format!("no thread can be had to put journals on the disk: {error}");
        for sender in std::mem::take(&mut self.lock().waiting) {
            let _ = sender.send(Err(StoreError::Unavailable(why.clone())));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().expect(UNSHAKEN)
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.rang.notify_one();
        if let Some(thread) = self.thread.lock().expect(UNSHAKEN).take() {
            let _ = thread.join();
        }
    }
}
