//! How many requests to one model may be under way at once.
//!
//! The provider limits them per key and model and does not say the number, so it is learned: halved when
//! the provider says that there are too many, raised by one after as many good answers as it allows.
//! Nothing here reads a clock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The gates of one key, by model.
#[derive(Debug)]
pub(crate) struct Limiter {
    most: usize,
    gates: Mutex<HashMap<String, Arc<Gate>>>,
}

impl Limiter {
    pub(crate) fn new(most: usize) -> Self {
        Self { most: most.max(1), gates: Mutex::default() }
    }

    /// Waits for room. Cancel safe: a waiter that goes away takes nothing with it.
    pub(crate) async fn acquire(&self, model: &str) -> Permit {
        let gate = {
            let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(gates.entry(model.to_owned()).or_insert_with(|| Arc::new(Gate::new(self.most))))
        };
        loop {
            // Asked for before looking, so that room made in between is not missed.
            let room = gate.room.notified();
            if let Some(permit) = Gate::enter(&gate) {
                return permit;
            }
            room.await;
        }
    }
}

/// The room for one model.
#[derive(Debug)]
struct Gate {
    most: usize,
    state: Mutex<State>,
    room: Notify,
}

#[derive(Debug)]
struct State {
    limit: usize,
    inside: usize,
    /// Good answers since the limit last changed.
    good: usize,
    /// Counts the refusals heeded: requests sent before one say nothing about the limit after it.
    round: u64,
}

impl Gate {
    fn new(most: usize) -> Self {
        let state = State { limit: most, inside: 0, good: 0, round: 0 };
        Self { most, state: Mutex::new(state), room: Notify::new() }
    }

    fn enter(gate: &Arc<Self>) -> Option<Permit> {
        let mut state = gate.state();
        if state.inside >= state.limit {
            return None;
        }
        state.inside += 1;
        if state.inside < state.limit {
            // One word wakes one waiter, and there may be room for more.
            gate.room.notify_one();
        }
        Some(Permit { gate: Arc::clone(gate), round: state.round })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Counters only, changed whole: a panic elsewhere cannot have left half a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room for one request. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    gate: Arc<Gate>,
    round: u64,
}

impl Permit {
    /// The request was answered: there may be more room than was thought.
    pub(crate) fn answered(&self) {
        let mut state = self.gate.state();
        state.good += 1;
        if state.good >= state.limit && state.limit < self.gate.most {
            state.limit += 1;
            state.good = 0;
        }
    }

    /// The provider said that too many are under way.
    pub(crate) fn refused(&self) {
        let mut state = self.gate.state();
        if state.round == self.round {
            state.limit = (state.inside / 2).max(1);
            state.good = 0;
            state.round += 1;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.state().inside -= 1;
        self.gate.room.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn try_acquire(limiter: &Limiter) -> Option<Permit> {
        limiter.acquire("m").now_or_never()
    }

    fn fill(limiter: &Limiter) -> Vec<Permit> {
        std::iter::from_fn(|| try_acquire(limiter)).collect()
    }

    #[test]
    fn room_is_per_model_and_given_back() {
        let limiter = Limiter::new(2);
        let held = fill(&limiter);
        assert_eq!(held.len(), 2);
        assert!(limiter.acquire("other").now_or_never().is_some());
        drop(held);
        assert_eq!(fill(&limiter).len(), 2);
    }

    #[test]
    fn a_refusal_halves_what_is_under_way_once_and_good_answers_raise_it_slowly() {
        let limiter = Limiter::new(100);
        let held: Vec<_> = (0..8).filter_map(|_| try_acquire(&limiter)).collect();
        held.into_iter().for_each(|permit| permit.refused());
        assert_eq!(fill(&limiter).len(), 4, "eight refusals of one burst count once");
        let answer = |times| (0..times).for_each(|_| try_acquire(&limiter).unwrap().answered());
        answer(3);
        assert_eq!(fill(&limiter).len(), 4);
        answer(1);
        assert_eq!(fill(&limiter).len(), 5);
        answer(4);
        assert_eq!(fill(&limiter).len(), 5);
        answer(1);
        assert_eq!(fill(&limiter).len(), 6);
    }

    #[test]
    fn one_request_is_always_allowed_and_never_more_than_the_most() {
        let limiter = Limiter::new(1);
        for _ in 0..3 {
            try_acquire(&limiter).unwrap().refused();
            try_acquire(&limiter).unwrap().answered();
        }
        assert_eq!(fill(&limiter).len(), 1);
    }

    #[tokio::test]
    async fn a_waiter_goes_on_when_room_is_made_and_one_that_left_takes_none() {
        let limiter = Arc::new(Limiter::new(1));
        let held = try_acquire(&limiter).unwrap();
        let gone = tokio::spawn({
            let limiter = Arc::clone(&limiter);
            async move { limiter.acquire("m").await }
        });
        tokio::task::yield_now().await;
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        let waiter = tokio::spawn({
            let limiter = Arc::clone(&limiter);
            async move { limiter.acquire("m").await }
        });
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        drop(held);
        drop(waiter.await.unwrap());
    }
}
