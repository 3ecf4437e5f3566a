//! The driver: one short loop per live agent, and no rule about agents in it.
//!
//! It gathers what came in, steps the machine, appends, then tells, then reconciles the running tasks with
//! what is wanted. After a failed append its state is ahead of the journal, so it ends; a new driver, with a
//! new epoch, begins from what is durable.

use std::future::pending;

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};

use crate::agent::SendError;
use crate::desk::Desk;
use crate::id::{Cursor, Millis, Seq};
use crate::live::Live;
use crate::machine::{Batch, Input, Rejected, State, Strategy};
use crate::runtime::Shared;
use crate::store::StoreError;
use crate::upkeep::Upkeep;

/// Letters taken into one append.
const LETTERS_AT_ONCE: usize = 64;
/// Events of an epoch that are left when a new one is taken.
const CURSOR_RESERVE: u32 = 1 << 16;

/// What is sent to a driver. Boxed on its way, as a mailbox has room for 32 letters before the first.
pub(crate) enum Letter {
    /// An input, and who waits for it to be durable.
    Input(Input, oneshot::Sender<Result<Receipt, SendError>>),
    /// Put the agent away: at once if it may sleep or `force` says so. Answers whether it was.
    PutAway { force: bool, reply: oneshot::Sender<bool> },
    /// Remove the agent for good.
    Delete(oneshot::Sender<Result<(), SendError>>),
}

/// What the sender of an input gets once it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The head before the input: a stream from here shows everything that it causes.
    pub before: Cursor,
    /// The last entry that the input caused.
    pub seq: Seq,
}

/// Why a driver ended.
pub(crate) enum Exit {
    /// The agent was put away.
    PutAway,
    /// The agent is gone.
    Deleted,
    /// A new epoch is due: the cursors of this one are used up.
    EpochFull,
    /// The store refused; what was not acknowledged may or may not be there.
    Lost(StoreError),
    /// The same while the agent was being put away: nobody is to take it up again now.
    LetGo,
}

/// Why a driver goes on.
enum Woken {
    /// Somebody wrote.
    Letter(Box<Letter>),
    /// The last handle is gone: nobody can write any more.
    Abandoned,
    /// Something in flight has moved on.
    Effect(Input),
    /// The time has come that the machine waits for.
    Due,
    /// The lease is to be prolonged.
    Lapsing,
}

/// Who waits, and for what answer: also a refusal rests on a state that is not durable before the append.
type Waiting = (oneshot::Sender<Result<Receipt, SendError>>, Result<Receipt, SendError>);

/// One writer of one agent. Boxed for its whole life, as each future that it goes through would have room for it.
pub(crate) struct Driver {
    desk: Desk,
    state: State,
    live: Live,
    upkeep: Upkeep,
    deleting: Option<oneshot::Sender<Result<(), SendError>>>,
    /// Whether the last handle is gone: the run under way is finished, then the agent is put away.
    abandoned: bool,
}

impl Driver {
    pub(crate) fn new(desk: Desk, (state, upkeep): (State, Upkeep), live: Live) -> Box<Self> {
        Box::new(Self { desk, state, live, upkeep, deleting: None, abandoned: false })
    }

    /// Makes `Opened` and what follows from the first inputs durable: the driver's first act.
    pub(crate) async fn open(&mut self, strategy: Strategy, first: Vec<Input>) -> Result<(), StoreError> {
        self.desk.begin(&mut self.state, strategy, first).await?;
        self.go_on().await
    }

    /// Runs until the agent is put away, deleted, or its store refuses. Every task is gone when it returns.
    pub(crate) async fn run(mut self: Box<Self>, mail: &mut mpsc::Receiver<Box<Letter>>) -> Exit {
        let exit = loop {
            match self.turn(mail).await {
                Ok(None) => {}
                Ok(Some(exit)) => break exit,
                Err(error) => break Exit::Lost(error),
            }
        };
        // Boxed, as what is rare would make the task of every agent larger for good.
        Box::pin(self.end(exit)).await
    }

    async fn end(mut self: Box<Self>, exit: Exit) -> Exit {
        self.live.reap().await;
        self.finish(exit).await
    }

    /// One round of the loop. What follows the wait is boxed: an agent waits for most of its life, and there are many.
    async fn turn(&mut self, mail: &mut mpsc::Receiver<Box<Letter>>) -> Result<Option<Exit>, StoreError> {
        if self.desk.renew_at().is_some_and(|at| at <= self.desk.shared.clock.steady()) {
            Box::pin(self.desk.renew()).await?;
        }
        let woken = self.woken(mail).await;
        Box::pin(self.go_round(woken, mail)).await
    }

    /// Waits until there is something to do. Cancel safe.
    async fn woken(&mut self, mail: &mut mpsc::Receiver<Box<Letter>>) -> Woken {
        let due = self.desk.until(self.state.deadline(&self.desk.cx(&self.state)));
        let lapsing = until_steady(&self.desk.shared, self.desk.renew_at());
        tokio::select! {
            biased;
            letter = mail.recv(), if !self.abandoned => letter.map_or(Woken::Abandoned, Woken::Letter),
            input = self.live.next() => Woken::Effect(input),
            () = due => Woken::Due,
            () = lapsing => Woken::Lapsing,
        }
    }

    /// Takes in what is there, writes it down, and does what follows.
    async fn go_round(
        &mut self,
        woken: Woken,
        mail: &mut mpsc::Receiver<Box<Letter>>,
    ) -> Result<Option<Exit>, StoreError> {
        let (mut batch, mut waiting, mut exit) = (Batch::default(), Vec::new(), None);
        match woken {
            Woken::Letter(letter) => exit = self.take(*letter, &mut batch, &mut waiting),
            Woken::Abandoned => self.abandoned = true,
            Woken::Effect(input) => self.take_effect(input, &mut batch),
            Woken::Due => self.take_effect(Input::Tick, &mut batch),
            Woken::Lapsing => self.desk.renew().await?,
        }
        for _ in 0..LETTERS_AT_ONCE {
            if exit.is_some() {
                break;
            }
            let Ok(letter) = mail.try_recv() else { break };
            exit = self.take(*letter, &mut batch, &mut waiting);
        }
        while let Some(input) = self.live.take_ready() {
            self.take_effect(input, &mut batch);
        }
        self.stop_if_deleting(&mut batch);
        match (self.commit(batch, waiting).await, &exit) {
            (Ok(()), _) => {}
            (Err(error), None) => return Err(error),
            (Err(error), Some(_)) => {
                tracing::warn!(agent = %self.desk.cell.id, %error, "the store refused while the agent was put away");
                return Ok(Some(Exit::LetGo));
            }
        }
        match exit {
            Some(exit) => Ok(Some(exit)),
            None => self.after_commit().await,
        }
    }

    /// Takes a letter in. The exit that it asks for, if it does.
    fn take(&mut self, letter: Letter, batch: &mut Batch, waiting: &mut Vec<Waiting>) -> Option<Exit> {
        match letter {
            Letter::Input(_, reply) if self.deleting.is_some() => {
                let _ = reply.send(Err(SendError::Gone));
                None
            }
            Letter::Input(input, reply) => {
                let before = self.state.cursor.max(Cursor::start_of(self.desk.lease.epoch));
                let stepped = self.step(input, batch).map_err(SendError::from);
                waiting.push((reply, stepped.map(|()| Receipt { before, seq: self.state.seq })));
                None
            }
            Letter::PutAway { force, reply } => {
                let idle = batch.is_empty() && self.state.may_sleep();
                let now = self.deleting.is_none() && (force || idle);
                let _ = reply.send(now);
                now.then_some(Exit::PutAway)
            }
            Letter::Delete(reply) => {
                self.deleting = Some(reply);
                None
            }
        }
    }

    /// An input that nobody waits for. One that comes too late is forgotten.
    fn take_effect(&mut self, input: Input, batch: &mut Batch) {
        if let Err(rejected) = self.step(input, batch) {
            tracing::debug!(agent = %self.desk.cell.id, %rejected, "an effect's input came too late");
        }
    }

    fn step(&mut self, input: Input, batch: &mut Batch) -> Result<(), Rejected> {
        let cx = self.desk.cx(&self.state);
        self.state.step(&cx, input, batch)
    }

    /// An agent that is being deleted ends its turns and jobs first, also the turns of messages that waited.
    fn stop_if_deleting(&mut self, batch: &mut Batch) {
        while self.deleting.is_some() && self.state.unstopped() {
            let (note, by) = (Some("the agent is deleted".to_owned()), "delete".to_owned());
            self.take_effect(Input::Interrupt { note, by }, batch);
        }
    }

    /// Appends, then lets readers see, then tells, then answers, then reconciles.
    async fn commit(&mut self, batch: Batch, waiting: Vec<Waiting>) -> Result<(), StoreError> {
        if let Err(error) = self.desk.commit(&self.state, batch).await {
            for (reply, _) in waiting {
                let _ = reply.send(Err(SendError::Store(error.clone())));
            }
            return Err(error);
        }
        self.live.show(&self.state.transcript);
        for (reply, answer) in waiting {
            let _ = reply.send(answer);
        }
        self.go_on().await
    }

    /// Starts and ends what the state of now asks for, as long as the agent surely is this writer's: one that was
    /// stopped behind its append asks the store first, and is told if another has the agent.
    async fn go_on(&mut self) -> Result<(), StoreError> {
        if self.desk.has_lapsed() {
            self.desk.renew().await?;
        }
        self.reconcile();
        Ok(())
    }

    fn reconcile(&mut self) {
        let (desk, state) = (&self.desk, &self.state);
        let wanted = state.wanted(&desk.cx(state));
        self.live.reconcile(&wanted, |key| desk.request(state, key));
        self.live.report_gone(state.stopping());
    }

    async fn after_commit(&mut self) -> Result<Option<Exit>, StoreError> {
        if self.deleting.is_some() {
            return Ok(self.state.is_idle().then_some(Exit::Deleted));
        }
        if self.state.at_rest() {
            self.desk.cell.feed.rest();
            self.live.rest();
            // Both only make a later start faster or surer: without them the journal tells the same.
            if let Err(error) = self.note_rest().await {
                tracing::warn!(agent = %self.desk.cell.id, %error, "the agent's rest was not noted");
            }
        }
        if self.abandoned && self.state.may_sleep() {
            return Ok(Some(Exit::PutAway));
        }
        let full = self.state.cursor.epoch() == self.desk.lease.epoch
            && self.state.cursor.count() > Cursor::PER_EPOCH - CURSOR_RESERVE;
        Ok(full.then_some(Exit::EpochFull))
    }

    async fn note_rest(&mut self) -> Result<(), StoreError> {
        let care = self.desk.care(&self.state);
        care.checkpoint(&mut self.upkeep, false).await?;
        care.attest(&mut self.upkeep).await
    }

    async fn finish(mut self: Box<Self>, exit: Exit) -> Exit {
        match exit {
            Exit::PutAway => self.put_away().await,
            Exit::Deleted => self.delete().await,
            Exit::EpochFull | Exit::LetGo => exit,
            Exit::Lost(error) => {
                if let Some(reply) = self.deleting.take() {
                    let _ = reply.send(Err(SendError::Store(error.clone())));
                }
                Exit::Lost(error)
            }
        }
    }

    async fn put_away(mut self: Box<Self>) -> Exit {
        let clean = self.tell_what_is_gone().await && self.state.is_idle();
        if clean {
            // A checkpoint is only a faster start: without one the journal is read instead.
            if let Err(error) = self.desk.care(&self.state).checkpoint(&mut self.upkeep, true).await {
                tracing::warn!(agent = %self.desk.cell.id, %error, "no checkpoint was written");
            }
        }
        if let Err(error) = self.desk.shared.store.release(self.desk.lease.clone(), clean).await {
            tracing::warn!(agent = %self.desk.cell.id, %error, "a lease was not given back");
        }
        Exit::PutAway
    }

    /// Tells the machine that no effect is in flight any more, for those whose end that is. Whether it is durable.
    async fn tell_what_is_gone(&mut self) -> bool {
        let mut batch = Batch::default();
        let cx = self.desk.cx(&self.state);
        for key in self.state.wanted(&cx).into_keys().chain(self.state.stopping()) {
            let gone = Input::EffectGone(key);
            // Refused where the next writer goes on with it.
            let _ = self.state.take(&self.desk.cx(&self.state), gone, &mut batch);
        }
        let told = self.desk.commit(&self.state, batch).await;
        if let Err(error) = &told {
            tracing::warn!(agent = %self.desk.cell.id, %error, "the ends of background jobs were not noted");
        }
        told.is_ok()
    }

    async fn delete(mut self: Box<Self>) -> Exit {
        let reply = self.deleting.take();
        let deleted = self.desk.shared.store.delete(self.desk.lease.clone()).await;
        if deleted.is_ok() {
            self.desk.cell.feed.close();
        }
        if let Some(reply) = reply {
            let _ = reply.send(deleted.clone().map_err(SendError::Store));
        }
        deleted.map_or_else(Exit::Lost, |()| Exit::Deleted)
    }
}

/// Waits for a time of leases, or for ever.
fn until_steady(shared: &Shared, at: Option<Millis>) -> impl Future<Output = ()> + Send {
    at.map_or_else(|| pending().left_future(), |at| shared.clock.until_steady(at).right_future())
}
