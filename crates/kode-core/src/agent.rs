//! The user's handle on one agent: send, subscribe, decide, interrupt, look, snapshot, fork.

mod cell;
mod forks;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};

pub(crate) use self::cell::Cell;
use crate::call::Decision;
use crate::driver::{Letter, Receipt};
use crate::event::{Channels, DoneReason, Envelope, Event, Problem};
use crate::fact::{IdempotencyKey, SendMode};
use crate::hub::Subscription;
use crate::id::{AgentId, CallId, Cursor, MessageId};
use crate::machine::{Input, PendingApproval, Rejected, Settlement, View};
use crate::message::Block;
use crate::runtime::Shared;
use crate::sandbox::SandboxReport;
use crate::store::StoreError;
use crate::todo::{Todo, TodoList};
use crate::trace::TraceParent;

/// Why something sent to an agent was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The machine refused it; nothing changed.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// The store refused; it may or may not have been taken.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The agent is not live any more: put away, deleted or shut down. Resume it and try again.
    #[error("the agent is no longer live; resume it and try again")]
    Gone,
}

/// A message to send.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outgoing {
    /// Its content.
    pub content: Vec<Block>,
    /// What it does to a run under way.
    pub mode: SendMode,
    /// The sender's own data.
    pub metadata: Map<String, Value>,
    /// The sender's name for the request: a repeat gets the first answer.
    pub key: Option<IdempotencyKey>,
    /// The message's name, where the caller has minted it; else a fresh one.
    pub id: Option<MessageId>,
    /// The trace that the turn which answers it belongs to.
    pub trace: Option<TraceParent>,
}

impl From<&str> for Outgoing {
    fn from(text: &str) -> Self {
        Self { content: vec![Block::text(text)], ..Self::default() }
    }
}

impl From<String> for Outgoing {
    fn from(text: String) -> Self {
        Self { content: vec![Block::text(text)], ..Self::default() }
    }
}

/// A message that is in the journal, synced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its name.
    pub message: MessageId,
    /// A subscription from here shows everything that it causes.
    pub cursor: Cursor,
}

/// What came of an interrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupted {
    /// The run under way is stopping; its `done` follows.
    Stopping,
    /// There was none.
    Idle,
}

/// What a message came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// How it ended.
    pub status: CompletionStatus,
    /// The last answer's text; empty where there was none.
    pub text: String,
    /// The cursor reached.
    pub cursor: Cursor,
    /// What is waited for, when paused.
    pub approvals: Vec<PendingApproval>,
    /// Why, unless it completed.
    pub error: Option<Problem>,
}

/// How a message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompletionStatus {
    /// The turn ended so.
    Done(DoneReason),
    /// Only approvals are waited for; the turn goes on once they are given.
    Paused,
}

/// A live agent. Clones are handles on the same one; it stays live while the runtime does, until it is put
/// away or deleted.
#[derive(Clone)]
pub struct Agent {
    pub(crate) cell: Arc<Cell>,
    pub(crate) mail: mpsc::Sender<Box<Letter>>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) report: Arc<SandboxReport>,
}

impl Agent {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> &AgentId {
        &self.cell.id
    }

    /// The state as of the last append. Cheap; the snapshot does not change.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.cell.view()
    }

    /// What is enforced around its tools.
    #[must_use]
    pub fn sandbox(&self) -> &Arc<SandboxReport> {
        &self.report
    }

    /// Whether its lease surely lasts: then [`Agent::view`] is the agent as it is. Otherwise this process may have been
    /// stopped for longer than it holds agents, and another may have it.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.shared.clock.steady() < self.cell.held_until()
    }

    /// Whether nobody drives it any more.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.mail.is_closed()
    }

    /// Sends a message. When this returns, the message is in the journal, synced (G1). Not cancel safe: a
    /// dropped call may have sent; use [`Outgoing::key`] to repeat one safely.
    ///
    /// # Errors
    /// [`Rejected::Busy`], [`Rejected::KeyReused`], [`Rejected::EmptyMessage`]; the store's; [`SendError::Gone`].
    pub async fn send(&self, message: impl Into<Outgoing>) -> Result<Sent, SendError> {
        let Outgoing { content, mode, metadata, key, id, trace } = message.into();
        let id = id.unwrap_or_else(|| self.shared.ids.message_id());
        let input = Input::Message { id: id.clone(), content, mode, metadata, key, trace };
        match self.input(input).await {
            Ok(receipt) => Ok(Sent { message: id, cursor: receipt.before }),
            Err(SendError::Rejected(Rejected::Duplicate { message, cursor })) => Ok(Sent { message, cursor }),
            Err(error) => Err(error),
        }
    }

    /// Sends a message and waits for the `done` that names it, or until only approvals are waited for.
    ///
    /// # Errors
    /// As [`Agent::send`]; the store's while reading.
    pub async fn complete(&self, message: impl Into<Outgoing>) -> Result<Completion, SendError> {
        let sent = self.send(message).await?;
        let mut events = self.subscription(sent.cursor);
        let mut text = String::new();
        while let Some(envelope) = next_while_driven(&mut events, &self.cell).await? {
            match &envelope.event {
                Event::TextChunkEnd { text: block, .. } => text.clone_from(block),
                Event::Done { message_ids, reason, error, .. } if message_ids.contains(&sent.message) => {
                    let text = if *reason == DoneReason::Failed { String::new() } else { text };
                    return Ok(Completion {
                        status: CompletionStatus::Done(*reason),
                        text,
                        cursor: envelope.cursor,
                        approvals: Vec::new(),
                        error: error.clone(),
                    });
                }
                Event::Done { .. } | Event::TextReset { .. } => text.clear(),
                Event::PermissionRequired { .. } => {
                    let approvals = self.view().approvals.clone();
                    if !approvals.is_empty() {
                        let (status, cursor) = (CompletionStatus::Paused, envelope.cursor);
                        return Ok(Completion { status, text, cursor, approvals, error: None });
                    }
                }
                _ => {}
            }
        }
        Err(SendError::Gone)
    }

    /// All events after a cursor on some channels, then those to come. Ends when the agent is deleted.
    pub fn subscribe(
        &self,
        channels: Channels,
        after: Cursor,
    ) -> impl Stream<Item = Arc<Envelope>> + Send + 'static {
        envelopes(self.subscription(after), channels)
    }

    /// A reader from a cursor on, for those who need its errors.
    #[must_use]
    pub fn subscription(&self, after: Cursor) -> Subscription {
        Subscription::new(self.cell.id.clone(), self.cell.feed.clone(), self.shared.store.clone(), after)
    }

    /// Calls back for each event that `wanted` picks, from now on, in a task of its own. It ends when the agent
    /// is put away or deleted: bind anew at each resume, with [`crate::RuntimeBuilder::on_agent`].
    pub fn on(
        &self,
        wanted: impl Fn(&Event) -> bool + Send + Sync + 'static,
        mut callback: impl FnMut(&Envelope) + Send + 'static,
    ) {
        let mut events = self.subscription(self.view().cursor);
        let cell = self.cell.clone();
        tokio::spawn(async move {
            while let Ok(Some(envelope)) = next_while_driven(&mut events, &cell).await {
                if wanted(&envelope.event) {
                    callback(&envelope);
                }
            }
        });
    }

    /// Decides on a call that waits for a person. Durable when it returns.
    ///
    /// # Errors
    /// [`Rejected::NoApproval`], [`Rejected::Decided`]; the store's; [`SendError::Gone`].
    pub async fn decide(
        &self,
        call: &CallId,
        decision: Decision,
        by: &str,
        note: Option<String>,
    ) -> Result<(), SendError> {
        let input = Input::Decide { call: call.clone(), decision, by: by.to_owned(), note };
        self.input(input).await.map(drop)
    }

    /// Says what became of a call that ran when its writer ended, after a resume by [`Strategy::Manual`]. The
    /// calls that wait for it are in [`View::unsettled`]; the run goes on once all are settled. Durable when it
    /// returns.
    ///
    /// # Errors
    /// [`Rejected::NotUnsettled`]; the store's; [`SendError::Gone`].
    ///
    /// [`Strategy::Manual`]: crate::machine::Strategy::Manual
    pub async fn settle(&self, call: &CallId, outcome: Settlement, by: &str) -> Result<(), SendError> {
        let input = Input::Settle { call: call.clone(), outcome, by: by.to_owned() };
        self.input(input).await.map(drop)
    }

    /// Stops the run under way, if there is one.
    ///
    /// # Errors
    /// The store's; [`SendError::Gone`].
    pub async fn interrupt(&self, by: &str, note: Option<String>) -> Result<Interrupted, SendError> {
        match self.input(Input::Interrupt { note, by: by.to_owned() }).await {
            Ok(_) => Ok(Interrupted::Stopping),
            Err(SendError::Rejected(Rejected::Idle)) => Ok(Interrupted::Idle),
            Err(error) => Err(error),
        }
    }

    /// The todo list.
    #[must_use]
    pub fn todos(&self) -> Arc<TodoList> {
        self.view().todos.clone()
    }

    /// Replaces the todo list, if `version` (when given) is the current one.
    ///
    /// # Errors
    /// [`crate::tool::TodoRefused`] within [`Rejected::Todos`]; the store's; [`SendError::Gone`].
    pub async fn set_todos(
        &self,
        todos: Vec<Todo>,
        version: Option<u64>,
    ) -> Result<Arc<TodoList>, SendError> {
        self.input(Input::SetTodos { todos, version }).await?;
        Ok(self.todos())
    }

    /// Asks the driver to let go of the agent: if it is at rest or only a person is waited for, or in any case
    /// with `force`, when what is under way goes on at the next resume. Whether it does.
    pub async fn put_away(&self, force: bool) -> bool {
        let put_away = ask(&self.mail, |reply| Letter::PutAway { force, reply }).await.unwrap_or(true);
        if put_away {
            self.mail.closed().await;
        }
        put_away
    }

    /// Interrupts, waits for the tools to be gone, then removes the agent for good.
    ///
    /// # Errors
    /// The store's; [`SendError::Gone`].
    pub async fn delete(&self) -> Result<(), SendError> {
        ask(&self.mail, Letter::Delete).await.unwrap_or(Err(SendError::Gone))
    }

    async fn input(&self, input: Input) -> Result<Receipt, SendError> {
        send_input(&self.mail, input).await
    }
}

/// The next event while somebody drives the agent; after that what was told, and then none.
async fn next_while_driven(
    events: &mut Subscription,
    cell: &Cell,
) -> Result<Option<Arc<Envelope>>, StoreError> {
    tokio::select! {
        biased;
        next = events.next() => return next,
        () = cell.ended() => {}
    }
    events.next_ready().await
}

pub(crate) async fn send_input(mail: &mpsc::Sender<Box<Letter>>, input: Input) -> Result<Receipt, SendError> {
    ask(mail, |reply| Letter::Input(input, reply)).await.unwrap_or(Err(SendError::Gone))
}

/// Sends a letter and waits for its answer; `None` once nobody drives the agent any more. A letter that meets the
/// end of its mailbox can stay in it for as long as any handle lives, with nobody to answer it.
async fn ask<T>(
    mail: &mpsc::Sender<Box<Letter>>,
    letter: impl FnOnce(oneshot::Sender<T>) -> Letter,
) -> Option<T> {
    let (reply, mut answer) = oneshot::channel();
    mail.send(Box::new(letter(reply))).await.ok()?;
    tokio::select! {
        biased;
        answered = &mut answer => answered.ok(),
        // All that was answered was answered before the end.
        () = mail.closed() => answer.try_recv().ok(),
    }
}

pub(crate) fn envelopes(events: Subscription, channels: Channels) -> BoxStream<'static, Arc<Envelope>> {
    let next = |mut events: Subscription| async move {
        match events.next().await {
            Ok(Some(envelope)) => Some((envelope, events)),
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(%error, "a subscription ended because the store could not be read");
                None
            }
        }
    };
    let picked = move |envelope: &Arc<Envelope>| std::future::ready(channels.has(envelope.event.channel()));
    stream::unfold(events, next).filter(picked).boxed()
}
