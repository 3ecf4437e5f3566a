//! A few threads of the store's own, for what a crowd may ask for. The runtime's blocking threads are no bound: they
//! become hundreds, each of which keeps memory, and who writes waits among them. No work of the store is here.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kode_core::store::StoreResult;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::{cut_off, failed};

/// How long a thread waits for more. What it needed, such as room for a long line, is given back when it ends.
const LINGER: Duration = Duration::from_secs(1);

/// Threads that do one piece of work after the other, made when there is work for them.
pub(crate) struct Crew {
    threads: usize,
    /// Of which only the blocking threads are used.
    runtime: Mutex<Option<Runtime>>,
}

impl Crew {
    /// At most so many threads.
    pub(crate) fn of(threads: usize) -> Self {
        Self { threads, runtime: Mutex::default() }
    }

    /// Has work done. It is done, too, when nobody waits for it any more.
    pub(crate) async fn has_done<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        self.there()?.spawn_blocking(work).await.unwrap_or_else(|_| Err(cut_off()))
    }

    fn there(&self) -> StoreResult<Handle> {
        let mut runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = &*runtime {
            return Ok(runtime.handle().clone());
        }
        let mut builder = Builder::new_current_thread();
        builder.thread_name("kode-store").max_blocking_threads(self.threads).thread_keep_alive(LINGER);
        let made = builder.build();
        let made = runtime.insert(made.map_err(failed("starting threads"))?);
        Ok(made.handle().clone())
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        let runtime = self.runtime.get_mut().unwrap_or_else(PoisonError::into_inner);
        // A task may drop the store, and must not wait.
        if let Some(runtime) = runtime.take() {
            runtime.shutdown_background();
        }
    }
}
