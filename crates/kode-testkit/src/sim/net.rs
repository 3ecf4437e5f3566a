//! The network between nodes and their store. A request and its answer each take time, and each may be lost: then
//! nobody at the node knows whether anything was done. A request on its way arrives also when its node has been
//! stopped or lost since.
//!
//! The store judges time by its own clock and believes no node's, as a store in a server does.

mod remote;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use kode_core::id::Millis;
use kode_core::store::{Store, StoreError, StoreResult};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

pub use remote::Remote;

use super::chance::Chance;
use super::clock::Skew;
use super::trace::Trace;

/// What is wrong between a node and the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Nothing comes through.
    Both,
    /// Requests arrive, and no answer comes back.
    Answers,
}

/// How the network is on the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weather {
    /// The longest that a message usually takes.
    pub delay: Millis,
    /// How many of a thousand messages take ten times as long.
    pub late: u64,
    /// How many of a thousand messages are lost.
    pub lost: u64,
}

impl Weather {
    /// Quick, and nothing is lost.
    pub const FAIR: Self = Self { delay: 4, late: 0, lost: 0 };
}

/// The network and the store at its end. Clones are the same one.
#[derive(Clone)]
pub struct Net(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    /// The machine on which the store runs.
    place: Handle,
    clock: (Skew, Millis),
    /// How long a node waits for an answer.
    patience: Duration,
    trace: Arc<Trace>,
    state: Mutex<State>,
}

struct State {
    chance: Chance,
    weather: Weather,
    cuts: BTreeMap<String, Cut>,
}

/// What becomes of one request and its answer.
struct Fate {
    there: Duration,
    back: Duration,
    request_lost: bool,
    answer_lost: bool,
}

impl Net {
    /// A network before a store that runs on a machine, with the clock of that machine (and the right time at the
    /// world's beginning).
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        place: Handle,
        clock: (Skew, Millis),
        patience: Duration,
        trace: Arc<Trace>,
        chance: Chance,
    ) -> Self {
        let state = State { chance, weather: Weather::FAIR, cuts: BTreeMap::new() };
        Self(Arc::new(Inner { store, place, clock, patience, trace, state: Mutex::new(state) }))
    }

    /// Changes the weather.
    pub fn weather(&self, weather: Weather) {
        self.state().weather = weather;
    }

    /// Cuts a node off.
    pub fn cut(&self, node: &str, cut: Cut) {
        self.state().cuts.insert(node.to_owned(), cut);
    }

    /// Ends what cut a node off.
    pub fn heal(&self, node: &str) {
        self.state().cuts.remove(node);
    }

    /// The store as a node sees it.
    #[must_use]
    pub fn remote(&self, node: &str) -> Remote {
        Remote { net: self.clone(), node: node.to_owned() }
    }

    /// The time by the store's clock.
    pub fn store_time(&self) -> Millis {
        let (skew, start) = self.0.clock;
        skew.shows(start, self.0.trace.now())
    }

    fn fate(&self, node: &str) -> Fate {
        let mut state = self.state();
        let cut = state.cuts.get(node).copied();
        let Weather { delay, late, lost } = state.weather;
        let mut leg = || {
            let long = if state.chance.happens(late) { 10 } else { 1 };
            let time = state.chance.between(1, delay.max(1)) * long;
            (Duration::from_millis(time), state.chance.happens(lost))
        };
        let ((there, request_lost), (back, answer_lost)) = (leg(), leg());
        let request_lost = request_lost || cut == Some(Cut::Both);
        Fate { there, back, request_lost, answer_lost: answer_lost || cut.is_some() }
    }

    fn is_cut(&self, node: &str) -> bool {
        self.state().cuts.contains_key(node)
    }

    /// Sends a request and waits for its answer, as long as the node's patience lasts.
    async fn ask<T, R>(&self, node: &str, what: impl Display, request: R) -> StoreResult<T>
    where
        T: Send + 'static,
        R: FnOnce(Arc<dyn Store>, Millis) -> BoxFuture<'static, StoreResult<T>> + Send + 'static,
    {
        let (answer, arrives) = oneshot::channel();
        let line = format!("{node} {what}");
        self.0.place.spawn(self.clone().carry(node.to_owned(), line, request, answer));
        let arrives = async {
            match arrives.await {
                Ok(answer) => answer,
                // It was lost, which nobody tells.
                Err(_) => std::future::pending().await,
            }
        };
        let answered = timeout(self.0.patience, arrives).await;
        answered.unwrap_or_else(|_| Err(StoreError::Unavailable("no answer came in time".into())))
    }

    /// The way of one request, on the store's machine.
    fn carry<T, R>(
        self,
        node: String,
        line: String,
        request: R,
        answer: oneshot::Sender<StoreResult<T>>,
    ) -> impl Future<Output = ()> + Send + 'static
    where
        T: Send + 'static,
        R: FnOnce(Arc<dyn Store>, Millis) -> BoxFuture<'static, StoreResult<T>> + Send + 'static,
    {
        let fate = self.fate(&node);
        async move {
            sleep(fate.there).await;
            if fate.request_lost {
                return self.0.trace.note(format_args!("{line}: lost on its way"));
            }
            let result = request(self.0.store.clone(), self.store_time()).await;
            let told = result.as_ref().err().map_or_else(|| "ok".to_owned(), ToString::to_string);
            self.0.trace.note(format_args!("{line}: {told}"));
            sleep(fate.back).await;
            if fate.answer_lost || self.is_cut(&node) {
                return self.0.trace.note(format_args!("{line}: the answer is lost"));
            }
            // Who asked may have given up, or be gone.
            let _ = answer.send(result);
        }
    }

    /// A poisoned lock holds whole data: every critical section only moves values.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
