//! The agent as its running tools see it: the todo list, and events of their own.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::agent::{Cell, SendError, send_input};
use crate::driver::{Letter, Receipt};
use crate::id::CallId;
use crate::machine::{Input, Rejected};
use crate::store::{BLOB_MAX, BlobName, Store, StoreResult};
use crate::todo::{Todo, TodoList};
use crate::tool::{TodoRefused, ToolHost};

/// What a running tool may do with its agent. Holds the mailbox weakly, so that a tool never keeps an agent
/// alive.
pub(crate) struct Host {
    pub(crate) cell: Arc<Cell>,
    pub(crate) mail: mpsc::WeakSender<Letter>,
    pub(crate) store: Arc<dyn Store>,
}

impl Host {
    async fn input(&self, input: Input) -> Result<Receipt, SendError> {
        let mail = self.mail.upgrade().ok_or(SendError::Gone)?;
        send_input(&mail, input).await
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
        let input = Input::ToolEmitted { call: call.clone(), event_type: event_type.to_owned(), data };
        if let Err(error) = self.input(input).await {
            tracing::debug!(agent = %self.cell.id, %error, "a tool's event was not taken");
        }
    }
}
