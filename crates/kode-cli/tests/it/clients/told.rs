//! What a client has shown: lines of a cursor, a tab and an envelope, and at its end how it ended. What never belongs
//! here: how a client is run.

use serde_json::Value;
use tokio::sync::watch;

use crate::harness::PATIENCE;

/// How a client says that it came to its end by itself, and with what it begins to say that it did so otherwise.
pub(super) const END: &str = "ended";

/// Takes down what a client shows.
pub(super) type Teller = watch::Sender<Vec<String>>;

/// One client, and what it has shown so far.
pub(super) struct Shown {
    pub(super) client: &'static str,
    /// The agent that it follows; no other client does.
    pub(super) agent: String,
    lines: watch::Receiver<Vec<String>>,
}

impl Shown {
    pub(super) fn new(client: &'static str, agent: &str) -> (Teller, Self) {
        let (teller, lines) = watch::channel(Vec::new());
        (teller, Self { client, agent: agent.to_owned(), lines })
    }

    /// Whether it shows all that its agent told, and not what a message of its own causes.
    pub(super) fn follows(&self) -> bool {
        self.client.ends_with("follows")
    }

    /// Waits until it has shown this.
    pub(super) async fn until(&self, what: &str) {
        self.wait(what, |lines| lines.iter().any(|line| line.contains(what))).await;
    }

    /// Waits until it has come to its end.
    pub(super) async fn until_ended(&self) {
        self.wait("its end", |lines| lines.iter().any(|line| line.starts_with(END))).await;
        let lines = self.lines.borrow();
        assert_eq!(lines.last().map(String::as_str), Some(END), "{}: {lines:#?}", self.client);
    }

    /// Waits until it has come to its end, and gives the events that it has shown.
    pub(super) async fn events(&self) -> Vec<Value> {
        self.until_ended().await;
        let lines = self.lines.borrow();
        lines[..lines.len() - 1].iter().map(|line| self.event(line)).collect()
    }

    /// Reads a line: an event that is empty, or comes without its id, has none.
    fn event(&self, line: &str) -> Value {
        let (cursor, data) = line.split_once('\t').unwrap_or_else(|| panic!("{}: {line:?}", self.client));
        let envelope: Value = serde_json::from_str(data)
            .unwrap_or_else(|error| panic!("{} shows what is no event: {line:?}: {error}", self.client));
        assert_eq!(envelope["cursor"].to_string(), cursor, "{}: the id is the cursor", self.client);
        envelope
    }

    async fn wait(&self, what: &str, shown: impl FnMut(&Vec<String>) -> bool) {
        let mut lines = self.lines.clone();
        let waited = tokio::time::timeout(PATIENCE, lines.wait_for(shown)).await;
        let seen = waited.is_ok_and(|waited| waited.is_ok());
        assert!(seen, "{} does not show {what}: {:#?}", self.client, self.lines.borrow());
    }
}
