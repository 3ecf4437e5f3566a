//! The agent as its running tools see it: the todo list, and events of their own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::agent::{Cell, SendError, send_input};
use crate::driver::{Letter, Receipt};
use crate::hub::Subscription;
use crate::id::{CallId, Cursor, JobId};
use crate::machine::{Input, Job, Rejected};
use crate::secrets::Secrets;
use crate::store::{BLOB_MAX, BlobName, Store, StoreResult};
use crate::todo::{Todo, TodoList};
use crate::tool::{JobRefused, TodoRefused, ToolHost};

/// What a running tool may do with its agent. Holds the mailbox weakly, so that a tool never keeps an agent
/// alive.
pub(crate) struct Host {
    pub(crate) cell: Arc<Cell>,
    pub(crate) mail: mpsc::WeakSender<Box<Letter>>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) secrets: Secrets,
    /// Up to which place the model has read the output of each job.
    pub(crate) read: Mutex<HashMap<JobId, u64>>,
}

impl Host {
    async fn input(&self, input: Input) -> Result<Receipt, SendError> {
        let mail = self.mail.upgrade().ok_or(SendError::Gone)?;
        send_input(&mail, input).await
    }

    fn places(&self) -> MutexGuard<'_, HashMap<JobId, u64>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn runs(&self, job: &JobId) -> bool {
        self.cell.view().jobs.iter().any(|known| &known.id == job && known.open())
    }

    /// Each end is told, so what is told wakes whoever waits for one.
    async fn until_over(&self, job: &JobId, after: Cursor) {
        let (id, feed, store) = (self.cell.id.clone(), self.cell.feed.clone(), self.store.clone());
        let mut told = Subscription::new(id, feed, store, after);
        while self.runs(job) && matches!(told.next().await, Ok(Some(_))) {}
    }
}

#[async_trait]
impl ToolHost for Host {
    fn todos(&self) -> TodoList {
        (*self.cell.view().todos).clone()
    }

    async fn set_todos(&self, todos: Vec<Todo>) -> Result<TodoList, TodoRefused> {
        match self.input(Input::SetTodos { todos, version: None }).await {
            Ok(_) => Ok(self.todos()),
            Err(SendError::Rejected(Rejected::Todos(refused))) => Err(refused),
            Err(error) => Err(TodoRefused::Unavailable(error.to_string())),
        }
    }

    async fn read_result(&self, call: &CallId) -> StoreResult<Option<Bytes>> {
        let Ok(name) = BlobName::of_result(call) else { return Ok(None) };
        let part = self.store.read_blob(&self.cell.id, &name, 0, BLOB_MAX).await?;
        Ok(part.map(|part| part.bytes))
    }

    async fn emit(&self, call: &CallId, event_type: &str, data: Value) {
        let data = self.secrets.scrub_value(data);
        let input = Input::ToolEmitted { call: call.clone(), event_type: event_type.to_owned(), data };
        if let Err(error) = self.input(input).await {
            tracing::debug!(agent = %self.cell.id, %error, "a tool's event was not taken");
        }
    }

    async fn start_job(&self, call: &CallId, line: String) -> Result<JobId, JobRefused> {
        let started = self.input(Input::StartJob { call: call.clone(), line }).await;
        started.map(|_| JobId::of(call)).map_err(of_job)
    }

    async fn kill_job(&self, job: &JobId) -> Result<bool, JobRefused> {
        match self.input(Input::KillJob { job: job.clone(), by: "model".into() }).await {
            Ok(receipt) => {
                self.until_over(job, receipt.before).await;
                Ok(true)
            }
            Err(SendError::Rejected(Rejected::NoJob(_))) => Ok(false),
            Err(error) => Err(of_job(error)),
        }
    }

    fn jobs(&self) -> Arc<Vec<Job>> {
        self.cell.view().jobs.clone()
    }

    fn read_up_to(&self, job: &JobId) -> u64 {
        self.places().get(job).copied().unwrap_or_default()
    }

    fn set_read_up_to(&self, job: &JobId, place: u64) {
        let known = self.jobs();
        let mut places = self.places();
        // Bounded as the jobs that are remembered.
        places.retain(|id, _| known.iter().any(|job| &job.id == id));
        places.insert(job.clone(), place);
    }
}

/// Why there is no job.
fn of_job(error: SendError) -> JobRefused {
    match error {
        SendError::Rejected(Rejected::TooManyJobs(most)) => JobRefused::TooMany(most),
        SendError::Rejected(Rejected::JobExists(job)) => JobRefused::Exists(job),
        error => JobRefused::Unavailable(error.to_string()),
    }
}
