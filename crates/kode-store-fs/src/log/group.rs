//! Group commit: many writers wait, one of them flushes for all. It knows neither files nor what is written.
//!
//! There is no thread of its own: whoever waits and finds nobody flushing does it. So one writer alone pays one sync,
//! and a thousand pay one as well.

use std::io;

use crate::ground::{Condvar, Mutex, MutexGuard};

/// What waits to be flushed, and how far that has come.
pub(crate) struct Group {
    state: Mutex<State>,
    flushed: Condvar,
}

#[derive(Default)]
struct State {
    /// What the next flush takes.
    pending: Vec<u8>,
    /// How many records were ever added.
    added: u64,
    /// How many of them survive a power loss.
    durable: u64,
    /// The last flush that failed.
    failed: Option<Failure>,
    /// How many failed.
    failures: u64,
    /// Whether somebody flushes.
    flushing: bool,
}

/// A flush that failed.
struct Failure {
    /// How many records had been added when it began.
    upto: u64,
    kind: io::ErrorKind,
    why: String,
}

impl Default for Group {
    fn default() -> Self {
        Self { state: Mutex::new(State::default()), flushed: Condvar::new() }
    }
}

impl Group {
    /// Adds what `write` appends to the pending bytes; never waits for a flush.
    pub(crate) fn add(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.lock();
        write(&mut state.pending);
        state.added += 1;
    }

    /// How many bytes wait.
    pub(crate) fn pending(&self) -> usize {
        self.lock().pending.len()
    }

    /// Returns once everything that was added before the call is flushed. `flush` makes bytes durable; it is called by
    /// one thread at a time, in the order of the bytes. What a failed one had goes into the next: its records may
    /// stand behind others that were told to be safe.
    pub(crate) fn wait(&self, flush: impl Fn(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut state = self.lock();
        let (wanted, failures) = (state.added, state.failures);
        while state.durable < wanted {
            let fresh = state.failed.as_ref().filter(|_| state.failures > failures);
            if let Some(failure) = fresh.filter(|failure| failure.upto >= wanted) {
                return Err(io::Error::new(failure.kind, failure.why.clone()));
            }
            if state.flushing {
                state = self.flushed.wait(state).expect("nothing panics while it holds this lock");
                continue;
            }
            state = self.lead(state, &flush);
        }
        Ok(())
    }

    fn lead<'g>(
        &'g self,
        mut state: MutexGuard<'g, State>,
        flush: &impl Fn(&[u8]) -> io::Result<()>,
    ) -> MutexGuard<'g, State> {
        state.flushing = true;
        let (bytes, upto) = (std::mem::take(&mut state.pending), state.added);
        drop(state);
        let done = flush(&bytes);
        let mut state = self.lock();
        state.flushing = false;
        match done {
            Ok(()) => state.durable = upto,
            Err(error) => {
                state.failures += 1;
                state.failed = Some(Failure { upto, kind: error.kind(), why: error.to_string() });
                let later = std::mem::replace(&mut state.pending, bytes);
                state.pending.extend(later);
            }
        }
        self.flushed.notify_all();
        state
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }
}
