//! One run as it is watched: its events shown, its questions asked, Ctrl-C turned into an interrupt.

use std::io::Write;
use std::time::Duration;

use futures_util::FutureExt;
use kode_core::call::Decision;
use kode_core::event::{AgentState, DoneReason, Event};
use kode_core::hub::Subscription;
use kode_core::id::Cursor;
use kode_core::machine::PendingApproval;
use kode_core::{Agent, SendError};
use tokio::signal::unix::Signal;

use super::LOCAL;
use super::input::{Input, Line};
use super::screen::Screen;
use crate::failure::Failure;

/// How often an agent that tells nothing is looked at: it may have lost its store for good.
const LOOK: Duration = Duration::from_secs(1);

/// How watching ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// The agent came to rest.
    AtRest {
        /// Why a turn did not complete, if one did not.
        problem: Option<String>,
    },
    /// The user left; what was asked still waits.
    Left,
}

/// What it takes to watch.
pub(super) struct Watch<'a, W> {
    pub(super) agent: &'a Agent,
    pub(super) screen: &'a mut Screen<W>,
    pub(super) input: &'a Input,
    pub(super) interrupts: &'a mut Signal,
    /// Whether a terminal's editor reads the answers, and with them Ctrl-C.
    pub(super) person: bool,
}

/// What the user said of a call.
enum Word {
    Decided(Decision, Option<String>),
    Stop,
    Leave,
}

impl<W: Write> Watch<'_, W> {
    /// Shows everything after a cursor until the agent comes to rest.
    pub(super) async fn run(mut self, since: Cursor) -> Result<Ended, Failure> {
        // A person's Ctrl-C of before this run is not meant for it; whoever stops a pipe means all of it.
        while self.person && self.interrupts.recv().now_or_never().is_some() {}
        let mut events = self.agent.subscription(since);
        let (mut problem, mut stopped) = (None, false);
        loop {
            while let Some(envelope) = events.next_ready().await.map_err(Failure::failed)? {
                self.screen.show(&envelope.event)?;
                if let Event::Done { reason, error, .. } = &envelope.event {
                    problem = problem.or(not_completed(*reason, error.as_ref().map(|e| e.message.as_str())));
                }
            }
            let view = self.agent.view();
            if view.at_rest && view.cursor <= events.cursor() {
                let ended = (stopped && !self.person).then(|| "interrupted".to_owned());
                return Ok(Ended::AtRest { problem: problem.or(ended) });
            }
            match view.approvals.first().filter(|_| view.state == AgentState::Paused) {
                Some(open) if view.cursor <= events.cursor() => {
                    if !self.decide(open).await? {
                        return Ok(Ended::Left);
                    }
                }
                Some(_) | None => stopped |= self.wait(&mut events, &mut problem).await?,
            }
        }
    }

    /// Waits for the next event, or for Ctrl-C. Whether it was that.
    async fn wait(
        &mut self,
        events: &mut Subscription,
        problem: &mut Option<String>,
    ) -> Result<bool, Failure> {
        tokio::select! {
            biased;
            _ = self.interrupts.recv() => {
                self.stop().await?;
                return Ok(true);
            }
            told = events.next() => match told.map_err(Failure::failed)? {
                Some(envelope) => {
                    self.screen.show(&envelope.event)?;
                    if let Event::Done { reason, error, .. } = &envelope.event {
                        let why = not_completed(*reason, error.as_ref().map(|e| e.message.as_str()));
                        *problem = problem.take().or(why);
                    }
                }
                None => return Err(Failure::failed("the agent was deleted")),
            },
            () = tokio::time::sleep(LOOK) => if self.agent.is_gone() {
                return Err(Failure::failed("the agent stopped: its store refused; nothing acknowledged is lost, chat again when the store is well"));
            },
        }
        Ok(false)
    }

    async fn stop(&mut self) -> Result<(), Failure> {
        self.screen.wait_for("stopping …")?;
        // Idle: it came to rest by itself in this moment.
        self.agent.interrupt(LOCAL, None).await.map(drop).map_err(Failure::failed)
    }

    /// Asks for a decision and makes it. Whether the user stays.
    async fn decide(&mut self, open: &PendingApproval) -> Result<bool, Failure> {
        self.screen.ask(open)?;
        let call = &open.call.id;
        match self.word().await? {
            Word::Leave => {
                self.screen.note(&format!("({call} still waits; it is asked again when you come back)"))?;
                return Ok(false);
            }
            Word::Stop => self.stop().await?,
            Word::Decided(decision, note) => match self.agent.decide(call, decision, LOCAL, note).await {
                // It expired meanwhile: the agent says so itself.
                Ok(()) | Err(SendError::Rejected(_)) => {}
                Err(error) => return Err(Failure::failed(error)),
            },
        }
        Ok(true)
    }

    async fn word(&mut self) -> Result<Word, Failure> {
        loop {
            let line = tokio::select! {
                line = self.input.answer("allow? [y/n, and a note if you like] ") => line?,
                _ = self.interrupts.recv(), if !self.person => Line::Interrupted,
            };
            match line {
                Line::Interrupted => return Ok(Word::Stop),
                Line::End => return Ok(Word::Leave),
                Line::Text(text) => match word(&text) {
                    Some(word) => return Ok(word),
                    None => self
                        .screen
                        .note("y [note] allows, n [note] refuses, /interrupt stops the run, /quit leaves")?,
                },
            }
        }
    }
}

fn word(text: &str) -> Option<Word> {
    let text = text.trim();
    let (first, note) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let note = Some(note.trim().to_owned()).filter(|note| !note.is_empty());
    match first.to_lowercase().as_str() {
        "y" | "yes" => Some(Word::Decided(Decision::Allow, note)),
        "n" | "no" => Some(Word::Decided(Decision::Deny, note)),
        "/interrupt" => Some(Word::Stop),
        "/quit" | "/exit" => Some(Word::Leave),
        _ => None,
    }
}

fn not_completed(reason: DoneReason, why: Option<&str>) -> Option<String> {
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    match reason {
        DoneReason::Completed => None,
        DoneReason::Interrupted => Some("the turn was interrupted".to_owned()),
        DoneReason::Failed => Some(format!("the turn failed{why}")),
        DoneReason::Limit => Some(format!("the turn was stopped by a limit{why}")),
    }
}
