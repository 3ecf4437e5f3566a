//! What the emulator was asked, and what it is to answer: everything that its connections share.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;

use super::reply::Reply;

/// One request as it arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Its path.
    pub path: String,
    /// Its headers: lower-case names, values as sent.
    pub headers: Vec<(String, String)>,
    /// Its JSON body.
    pub body: Value,
}

impl Request {
    /// The value of a header by its lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether a stream was asked for.
    #[must_use]
    pub fn wants_stream(&self) -> bool {
        self.body["stream"] == true
    }

    /// The last message.
    #[must_use]
    pub fn last_message(&self) -> &Value {
        self.body["messages"].as_array().and_then(|messages| messages.last()).unwrap_or(&Value::Null)
    }
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All of it was sent, as scripted.
    Served,
    /// The client closed the connection first.
    ClientClosed {
        /// How many writes of the body had been made by then.
        writes: usize,
    },
    /// The emulator cut the connection, as scripted.
    Cut,
}

type Responder = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

/// The state behind all connections.
#[derive(Default)]
pub(super) struct Shared {
    log: Mutex<Log>,
    /// Counts the changes of the log, for those who wait for one.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct Log {
    queue: VecDeque<Reply>,
    responder: Option<Responder>,
    tolerant: bool,
    exchanges: Vec<(Arc<Request>, Option<Outcome>)>,
    violations: Vec<String>,
    connections: usize,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("exchanges", &self.log().exchanges).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn push(&self, reply: Reply) {
        self.log().queue.push_back(reply);
    }

    pub(super) fn respond(&self, responder: Responder) {
        self.log().responder = Some(responder);
    }

    pub(super) fn tolerate(&self) {
        self.log().tolerant = true;
    }

    pub(super) fn connected(&self) {
        self.log().connections += 1;
    }

    /// Takes a request down. Gives its number and its answer.
    pub(super) fn take(&self, request: Request, broken: Vec<String>) -> (usize, Arc<Request>, Reply) {
        let request = Arc::new(request);
        let mut log = self.log();
        let number = log.exchanges.len();
        log.exchanges.push((Arc::clone(&request), None));
        let refused = !broken.is_empty() && !log.tolerant;
        let words = broken.join("; ");
        log.violations.extend(broken);
        let queued = if refused { Some(refusal(&words)) } else { log.queue.pop_front() };
        let responder = log.responder.clone();
        drop(log);
        self.changed();
        // Outside the lock: the responder is the test's own code and may look at the log.
        let reply = queued.or_else(|| responder.map(|respond| respond(&request))).unwrap_or_else(unscripted);
        (number, request, reply)
    }

    pub(super) fn ended(&self, number: usize, outcome: Outcome) {
        self.log().exchanges[number].1 = Some(outcome);
        self.changed();
    }

    pub(super) fn requests(&self) -> Vec<Arc<Request>> {
        self.log().exchanges.iter().map(|(request, _)| Arc::clone(request)).collect()
    }

    pub(super) fn violations(&self) -> Vec<String> {
        self.log().violations.clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.log().connections
    }

    pub(super) async fn request(&self, n: usize) -> Arc<Request> {
        self.wait(|log| log.exchanges.get(n).map(|(request, _)| Arc::clone(request))).await
    }

    pub(super) async fn outcome(&self, n: usize) -> Outcome {
        self.wait(|log| log.exchanges.get(n).and_then(|(_, outcome)| *outcome)).await
    }

    async fn wait<T>(&self, look: impl Fn(&Log) -> Option<T>) -> T {
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            if let Some(found) = look(&self.log()) {
                return found;
            }
            changes.changed().await.expect("the sender lives as long as self");
        }
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        // Nothing in here can panic half way, so a poisoned log is still whole.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refusal(words: &str) -> Reply {
    Reply::error(400, "1214", &format!("the request breaks a rule: {words}"))
}

fn unscripted() -> Reply {
    Reply::error(400, "1210", "the emulator has no answer scripted for this request")
}
