//! A thread that puts journals on the disk behind the node log, so that the log's older files go. It decides nothing:
//! the store says whether there is something to do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{Builder, JoinHandle};

use crate::store::Store;

/// The thread of one open store, begun when it is first needed. Dropped, it is over: it ends the sync that it is at.
pub(crate) struct Retirer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    store: Arc<Store>,
    stop: AtomicBool,
    wanted: Mutex<bool>,
    asked: Condvar,
}

impl Retirer {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        let shared =
            Shared { store, stop: AtomicBool::new(false), wanted: Mutex::new(false), asked: Condvar::new() };
        Self { shared: Arc::new(shared), thread: Mutex::default() }
    }

    /// Lets it work if there is something to do. Never waits for it.
    pub(crate) fn look(&self) {
        if !self.shared.store.wants_retiring() {
            return;
        }
        *self.shared.wanted.lock().expect(UNSHAKEN) = true;
        self.shared.asked.notify_one();
        let mut thread = self.thread.lock().expect(UNSHAKEN);
        if thread.is_none() {
            let shared = self.shared.clone();
            match Builder::new().name("kode-store-retire".into()).spawn(move || shared.run()) {
                Ok(begun) => *thread = Some(begun),
                Err(error) => tracing::warn!(%error, "no thread can be had to put journals on the disk"),
            }
        }
    }
}

const UNSHAKEN: &str = "nothing panics while it holds this lock";

impl Shared {
    fn run(&self) {
        loop {
            let mut wanted = self.wanted.lock().expect(UNSHAKEN);
            while !*wanted && !self.stop.load(Ordering::Relaxed) {
                wanted = self.asked.wait(wanted).expect(UNSHAKEN);
            }
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            *wanted = false;
            drop(wanted);
            self.store.retire(&self.stop);
        }
    }
}

impl Drop for Retirer {
    fn drop(&mut self) {
        {
            let _wanted = self.shared.wanted.lock().expect(UNSHAKEN);
            self.shared.stop.store(true, Ordering::Relaxed);
        }
        self.shared.asked.notify_one();
        if let Some(thread) = self.thread.lock().expect(UNSHAKEN).take() {
            let _ = thread.join();
        }
    }
}
