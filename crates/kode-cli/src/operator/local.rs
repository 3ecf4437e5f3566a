//! Agents of a store, operated on in this process: the server's own routes over a pool that runs nothing.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use http::header::CONTENT_TYPE;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use kode_core::id::{AgentId, CallId, Cursor};
use kode_core::machine::{Input, Rejected};
use kode_core::model::{ErrorClass, Model, ModelError, ModelRequest, ModelStream};
use kode_core::sandbox::{FileError, SandboxFactory, Workspace};
use kode_core::store::Head;
use kode_core::template::SandboxSpec;
use kode_core::{OpenError, RecordError};
use kode_pool::{Pool, PoolOptions};
use kode_server::{App, ServerConfig};
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{Operator, Refused, Told, Verdict};
use crate::compose;
use crate::config::Settings;
use crate::failure::Failure;

/// Who decides on a store, as on a server without authentication.
const LOCAL: &str = "local";
/// How often a store that another process writes is looked at for new events.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What a command does to a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reads, also while a server has it.
    Read,
    /// Writes, under the store's lock.
    Write,
    /// Writes, also in work directories: those of the configured workspace, unless another is named.
    Files { workspace: Option<PathBuf> },
}

/// A store of this machine.
pub(crate) struct Local {
    pool: Pool,
    app: App,
}

impl Local {
    pub(crate) async fn open(settings: &Settings, access: &Access) -> Result<Self, Failure> {
        let store = match access {
            Access::Read => compose::store_to_read(&settings.store).await?,
            Access::Write | Access::Files { .. } => compose::existing_store(&settings.store).await?,
        };
        let files: Arc<dyn SandboxFactory> = match access {
            Access::Read | Access::Write => Arc::new(NoFiles),
            Access::Files { .. } => compose::sandboxes(settings)?,
        };
        let builder = compose::runtime_in(settings, store, Arc::new(NoModel), files);
        let pool = Pool::new(builder.build().map_err(Failure::usage)?, PoolOptions::default());
        let app = App::new(pool.clone(), ServerConfig::default(), CancellationToken::new());
        Ok(Self { pool, app })
    }
}

#[async_trait]
impl Operator for Local {
    async fn request(&self, method: Method, path: &str, body: Option<Value>) -> Result<String, Refused> {
        let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
        let request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, "application/json");
        let request = request.body(Full::new(body)).map_err(|e| Refused::Way(Failure::failed(e)))?;
        let answered = kode_server::router(self.app.clone()).oneshot(request).await;
        let Ok(response) = answered;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|e| Refused::Way(Failure::failed(e)))?;
        let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        if status.is_success() { Ok(body) } else { Err(refusal(status.as_u16(), &body)) }
    }

    /// Written down and no more: this process has neither the model nor the right to start tools.
    async fn decide(&self, verdict: &Verdict) -> Result<bool, Refused> {
        let Verdict { agent, call, decision, note, shown } = verdict.clone();
        if let Some(shown) = shown {
            self.is_what_was_shown(&agent, &call, &shown).await?;
        }
        let input = Input::Decide { call, decision, by: LOCAL.into(), note };
        self.pool.runtime().record(&agent, input).await.map_err(refused)?;
        Ok(false)
    }

    async fn close(&self) {
        self.pool.shutdown(Duration::ZERO).await;
    }

    fn follow(&self, agent: &AgentId, channels: &str, since: Cursor) -> BoxStream<'_, Result<Told, Refused>> {
        let follower = Follower {
            local: self,
            agent: agent.clone(),
            channels: channels.to_owned(),
            since,
            page: VecDeque::new(),
            head: None,
        };
        let told = stream::unfold(follower, |mut follower| async move {
            let told = follower.next().await?;
            Some((told, follower))
        });
        told.boxed()
    }
}

impl Local {
    /// As the server has it: an open call's input never changes, and one that is not open is for the agent to refuse.
    async fn is_what_was_shown(&self, agent: &AgentId, call: &CallId, shown: &str) -> Result<(), Refused> {
        let open = super::open_call(self, agent, call).await?;
        if open.is_some_and(|open| !open.input_hash.eq_ignore_ascii_case(shown)) {
            let message = "the call has another input than the one with this inputHash; look at it again";
            return Err(Refused::Api { code: "approval_changed".into(), message: message.into() });
        }
        Ok(())
    }
}

/// A reader of a store that another process may write to, and that tells nobody when it does.
struct Follower<'a> {
    local: &'a Local,
    agent: AgentId,
    channels: String,
    since: Cursor,
    page: VecDeque<Told>,
    /// Where the journal ended when it was last read to its end.
    head: Option<Head>,
}

impl Follower<'_> {
    async fn next(&mut self) -> Option<Result<Told, Refused>> {
        loop {
            if let Some(told) = self.page.pop_front() {
                return Some(Ok(told));
            }
            match self.read().await {
                Ok(true) => {}
                Ok(false) => return None,
                Err(refused) => return Some(Err(refused)),
            }
        }
    }

    /// Reads what came since the last time. Whether the agent is still there.
    async fn read(&mut self) -> Result<bool, Refused> {
        let head = self.local.pool.runtime().store().head(&self.agent).await;
        let head = head.map_err(|error| Refused::Way(Failure::failed(error)))?;
        if head.is_some() && head == self.head {
            tokio::time::sleep(LOOK_AGAIN).await;
            return Ok(true);
        }
        match super::events(self.local, &self.agent, &self.channels, self.since).await {
            Ok((told, next, end)) => {
                (self.page, self.since) = (told.into(), next);
                // The head is from before the events: what was written in between is read next.
                self.head = head.filter(|_| end);
                Ok(true)
            }
            Err(refused) if refused.is_missing() => Ok(false),
            Err(refused) => Err(refused),
        }
    }
}

/// The body of an error, as the API has it.
#[derive(Deserialize)]
struct ErrorBody {
    error: String,
    code: String,
}

/// A refusal of the API, or of something that is not kode.
pub(super) fn refusal(status: u16, body: &str) -> Refused {
    match serde_json::from_str(body) {
        Ok(ErrorBody { error, code }) => Refused::Api { code, message: error },
        Err(_) => Refused::Way(Failure::failed(format!(
            "the answer is HTTP status {status} and not one of kode's; is the URL that of a kode server?"
        ))),
    }
}

/// The same words for a decision that was refused here.
fn refused(error: RecordError) -> Refused {
    let message = error.to_string();
    let code = match error {
        RecordError::Rejected(Rejected::NoApproval(_)) => "approval_not_found",
        RecordError::Rejected(Rejected::Decided(_)) => "approval_decided",
        RecordError::Open(OpenError::NotFound(_)) => "agent_not_found",
        RecordError::Rejected(_) | RecordError::Open(_) => return Refused::Way(Failure::failed(message)),
    };
    Refused::Api { code: code.into(), message }
}

/// No model: nothing runs in this process.
struct NoModel;

#[async_trait]
impl Model for NoModel {
    fn provider(&self) -> &str {
        "none"
    }

    async fn stream(&self, _: ModelRequest) -> Result<ModelStream, ModelError> {
        Err(ModelError::fatal(ErrorClass::BadRequest, "this command asks no model"))
    }
}

/// No work directories: a command that needs none makes none.
struct NoFiles;

#[async_trait]
impl SandboxFactory for NoFiles {
    async fn open(&self, _: &AgentId, _: &SandboxSpec) -> Result<Arc<dyn Workspace>, FileError> {
        Err(none())
    }

    async fn remove(&self, _: &AgentId) -> Result<(), FileError> {
        Err(none())
    }
}

fn none() -> FileError {
    FileError::Io { path: "the work directory".into(), why: "this command opens none".into() }
}
