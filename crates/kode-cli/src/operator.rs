//! Operating on agents from outside of them: on a store directly, or on a running server. A command is
//! written once over [`Operator`] and prints the same from both.

mod local;
mod remote;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use http::Method;
use kode_core::call::Decision;
use kode_core::id::{AgentId, CallId, Cursor};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

pub(crate) use self::local::Access;
use self::local::Local;
use self::remote::Remote;
use crate::args::{Places, Target};
use crate::config::{Settings, process_env};
use crate::failure::Failure;

/// Why something asked for was refused.
#[derive(Debug)]
pub(crate) enum Refused {
    /// By the rules of the HTTP API, which hold for both ways.
    Api {
        /// The stable code.
        code: String,
        /// What and why, for a person.
        message: String,
    },
    /// By the way there.
    Way(Failure),
}

impl Refused {
    /// Whether there is no such agent.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Api { code, .. } if code == "agent_not_found")
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Api { message, .. } => Self::failed(message),
            Refused::Way(failure) => failure,
        }
    }
}

/// A decision on a call.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    pub(crate) agent: AgentId,
    pub(crate) call: CallId,
    pub(crate) decision: Decision,
    pub(crate) note: Option<String>,
    /// The hash of the input that was shown: the decision holds for that input only.
    pub(crate) shown: Option<String>,
}

/// One event as it is told on every wire, with its cursor.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) cursor: Cursor,
    pub(crate) json: Box<RawValue>,
}

impl TryFrom<Box<RawValue>> for Told {
    type Error = serde_json::Error;
    fn try_from(json: Box<RawValue>) -> Result<Self, Self::Error> {
        #[derive(Deserialize)]
        struct Place {
            cursor: Cursor,
        }
        let Place { cursor } = serde_json::from_str(json.get())?;
        Ok(Self { cursor, json })
    }
}

/// A way to the agents.
#[async_trait]
pub(crate) trait Operator: Send + Sync {
    /// One request of the HTTP API; the body of its answer.
    async fn request(&self, method: Method, path: &str, body: Option<Value>) -> Result<String, Refused>;

    /// Decides on a call. Whether the agent is taken up, so that what follows happens now.
    async fn decide(&self, verdict: &Verdict) -> Result<bool, Refused>;

    /// An agent's events after a cursor, each once and in order, as they come. Ends when it is deleted.
    fn follow(&self, agent: &AgentId, channels: &str, since: Cursor) -> BoxStream<'_, Result<Told, Refused>>;

    /// Lets go of agents that were taken up on the way.
    async fn close(&self) {}
}

/// The way that the flags name.
pub(crate) async fn open(target: &Target, access: Access) -> Result<Box<dyn Operator>, Failure> {
    let Target { server, config, store } = target;
    if let Some(url) = server {
        return Ok(Box::new(Remote::new(url, &process_env)?));
    }
    let workspace = match &access {
        Access::Files { workspace } => workspace.clone(),
        Access::Read | Access::Write => None,
    };
    let places = Places { config: config.clone(), store: store.clone(), workspace };
    let settings = Settings::resolve(None, &places, &process_env)?;
    Ok(Box::new(Local::open(&settings, &access).await?))
}

/// Asks for something and reads the answer.
pub(crate) async fn get<T: DeserializeOwned>(operator: &dyn Operator, path: &str) -> Result<T, Refused> {
    let body = operator.request(Method::GET, path, None).await?;
    read(&body)
}

/// Reads an answer in the shape that the API gives it.
pub(crate) fn read<T: DeserializeOwned>(body: &str) -> Result<T, Refused> {
    serde_json::from_str(body).map_err(|why| {
        Refused::Way(Failure::failed(format!(
            "the answer is not one of kode's ({why}); is the URL that of a kode server?"
        )))
    })
}

/// A text as it may stand in a URL's query.
pub(crate) fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:".contains(&b);
    let byte = |b: u8| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") };
    text.bytes().map(byte).collect()
}

/// One page of events.
#[derive(Debug, Deserialize)]
struct EventsPage {
    events: Vec<Box<RawValue>>,
    next: Cursor,
    end: bool,
}

/// Events after a cursor that are there already: some of them, where to go on, and whether that is the end.
pub(crate) async fn events(
    operator: &dyn Operator,
    agent: &AgentId,
    channels: &str,
    since: Cursor,
) -> Result<(Vec<Told>, Cursor, bool), Refused> {
    let path = format!("/api/agents/{agent}/events?since={since}&channels={}", encoded(channels));
    let EventsPage { events, next, end } = get(operator, &path).await?;
    let told: Result<Vec<Told>, _> = events.into_iter().map(Told::try_from).collect();
    let told =
        told.map_err(|why| Refused::Way(Failure::failed(format!("an event cannot be read: {why}"))))?;
    Ok((told, next, end))
}

/// A call that waits for a person.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OpenCall {
    pub(crate) call_id: CallId,
    pub(crate) tool: String,
    pub(crate) input: Value,
    pub(crate) input_hash: String,
}

/// A call of an agent's, if it waits for a person.
pub(crate) async fn open_call(
    operator: &dyn Operator,
    agent: &AgentId,
    call: &CallId,
) -> Result<Option<OpenCall>, Refused> {
    #[derive(Deserialize)]
    struct Open {
        approvals: Vec<OpenCall>,
    }
    let Open { approvals } = get(operator, &format!("/api/agents/{agent}/approvals")).await?;
    Ok(approvals.into_iter().find(|open| open.call_id == *call))
}
