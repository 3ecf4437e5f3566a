//! The history of a simulated world: a line for each thing that happened, and one number that stands for all of
//! them.

use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kode_core::id::Millis;
use kode_core::machine::fnv1a;

/// The history. What it keeps in words is its end.
#[derive(Debug)]
pub struct Trace {
    now: AtomicU64,
    kept: usize,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    hash: u64,
    lines: u64,
    last: VecDeque<String>,
}

impl Trace {
    /// A history that keeps its last lines.
    #[must_use]
    pub fn keeping(kept: usize) -> Self {
        Self { now: AtomicU64::new(0), kept, told: Mutex::default() }
    }

    /// The world's age, in milliseconds.
    pub fn now(&self) -> Millis {
        self.now.load(Ordering::Relaxed)
    }

    /// The world is a little older.
    pub fn pass(&self, time: Millis) {
        self.now.fetch_add(time, Ordering::Relaxed);
    }

    /// Something happened.
    pub fn note(&self, what: impl Display) {
        let line = format!("{:>7} {what}", self.now());
        let mut told = self.told();
        told.hash = told.hash.rotate_left(5) ^ fnv1a(line.as_bytes());
        told.lines += 1;
        if told.last.len() == self.kept {
            told.last.pop_front();
        }
        if self.kept > 0 {
            told.last.push_back(line);
        }
    }

    /// Stands for the whole history: another history has another number.
    pub fn hash(&self) -> u64 {
        self.told().hash
    }

    /// How much happened.
    pub fn lines(&self) -> u64 {
        self.told().lines
    }

    /// The end of the history.
    pub fn end(&self) -> Vec<String> {
        self.told().last.iter().cloned().collect()
    }

    /// A poisoned lock holds whole data: every critical section only moves values.
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
