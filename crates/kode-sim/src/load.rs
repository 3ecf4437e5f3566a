//! Those outside: senders that repeat a message until it is acknowledged, a person who decides, one who interrupts,
//! and readers that wander from node to node with their cursors.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kode_core::call::Decision;
use kode_core::fact::{IdempotencyKey, SendMode};
use kode_core::id::{AgentId, Cursor, MessageId, Millis};
use kode_core::message::Block;
use kode_core::{AgentSpec, Outgoing};
use kode_testkit::sim::chance::Chance;
use kode_testkit::sim::trace::Trace;
use kode_testkit::sim::watch::Watch;

use crate::doors::Doors;

/// How long those outside wait for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// What those outside know of the world.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) doors: Doors,
    pub(crate) watch: Watch,
    pub(crate) trace: Arc<Trace>,
    /// Senders that are not through.
    pub(crate) sending: Arc<AtomicUsize>,
    /// Up to where each reader has read.
    pub(crate) read: Arc<Mutex<BTreeMap<AgentId, Cursor>>>,
}

impl Load {
    /// Sends so many messages to an agent, each until it is acknowledged.
    pub(crate) async fn send_all(self, name: String, agent: AgentId, count: u64, mut chance: Chance) {
        for nth in 0..count {
            pause(&mut chance, 20, 1_500).await;
            let key = format!("{name}-{nth}");
            let mode = match chance.below(10) {
                0 => SendMode::Interrupt,
                1 | 2 => SendMode::Steer,
                _ => SendMode::Queue,
            };
            let id = self.send_one(&agent, &message(&key, mode), &mut chance).await;
            self.watch.acknowledged(&name, &agent, &key, &id);
        }
        self.sending.fetch_sub(1, Ordering::Relaxed);
    }

    /// Repeats a message, through any node each time, until one says that it is in the journal.
    async fn send_one(&self, agent: &AgentId, message: &Outgoing, chance: &mut Chance) -> MessageId {
        loop {
            let (id, message) = (agent.clone(), message.clone());
            let send = move |pool: kode_pool::Pool| async move {
                pool.send(&id, AgentSpec::default(), message).await
            };
            match self.doors.ask(chance, PATIENCE, send).await {
                Some(Ok(sent)) => return sent.message,
                Some(Err(error)) => self.trace.note(format_args!("{agent} takes no message: {error}")),
                None => {}
            }
            pause(chance, 20, 400).await;
        }
    }

    /// Decides on whatever waits for a person, through any node.
    pub(crate) async fn decide_all(self, mut chance: Chance) {
        loop {
            pause(&mut chance, 50, 500).await;
            let asked =
                self.doors.ask(&mut chance, PATIENCE, |pool| async move { pool.approvals(&[""]).await });
            let Some(Ok(open)) = asked.await else { continue };
            for (agent, approval) in open {
                let decision = if chance.happens(800) { Decision::Allow } else { Decision::Deny };
                let call = approval.call.id.clone();
                let decide = move |pool: kode_pool::Pool| async move {
                    pool.ask(&agent, |agent| {
                        let call = call.clone();
                        async move { agent.decide(&call, decision, "a person", None).await }
                    })
                    .await
                };
                // What did not come through waits still, and is met again.
                let _ = self.doors.ask(&mut chance, PATIENCE, decide).await;
            }
        }
    }

    /// Interrupts an agent now and then, until a time: who asks for an agent has it taken up, and in the end it must
    /// go on without that.
    pub(crate) async fn interrupt(self, agent: AgentId, until: Millis, mut chance: Chance) {
        while self.trace.now() < until {
            pause(&mut chance, 1_000, 8_000).await;
            let id = agent.clone();
            let interrupt = move |pool: kode_pool::Pool| async move {
                pool.ask(&id, |agent| async move { agent.interrupt("a person", None).await }).await
            };
            let _ = self.doors.ask(&mut chance, PATIENCE, interrupt).await;
        }
    }

    /// Reads all events of an agent, some here, some there.
    pub(crate) async fn read_all(self, agent: AgentId, mut chance: Chance) {
        let mut cursor = Cursor::ZERO;
        loop {
            pause(&mut chance, 20, 300).await;
            let (id, most) = (agent.clone(), chance.between(1, 100));
            let read = move |pool: kode_pool::Pool| async move {
                let mut events = pool.runtime().subscription(&id, cursor);
                let mut got = Vec::new();
                while (got.len() as u64) < most
                    && let Ok(Some(envelope)) = events.next_ready().await
                {
                    got.push(envelope);
                }
                got
            };
            for envelope in self.doors.ask(&mut chance, PATIENCE, read).await.unwrap_or_default() {
                self.watch.reader_got(&agent, cursor, &envelope);
                cursor = envelope.cursor;
            }
            self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(agent.clone(), cursor);
        }
    }

    /// What is not over, in words.
    pub(crate) fn rest(&self) -> String {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let behind: Vec<_> =
            read.iter().filter(|(agent, cursor)| **cursor != self.watch.head(agent)).collect();
        format!(
            "{} senders are not through; readers behind: {behind:?}",
            self.sending.load(Ordering::Relaxed)
        )
    }

    /// Whether every sender is through and every reader has read all.
    pub(crate) fn is_over(&self) -> bool {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let mut readers = read.iter();
        self.sending.load(Ordering::Relaxed) == 0
            && readers.all(|(agent, cursor)| *cursor == self.watch.head(agent))
    }
}

async fn pause(chance: &mut Chance, least: u64, most: u64) {
    tokio::time::sleep(Duration::from_millis(chance.between(least, most))).await;
}

fn message(key: &str, mode: SendMode) -> Outgoing {
    let key = IdempotencyKey { key: key.to_owned(), digest: key.to_owned() };
    Outgoing { content: vec![Block::text(&key.key)], mode, key: Some(key), ..Outgoing::default() }
}
