//! Wakes: each append, and each delete, publishes on its agent's channel within the function that does it; one
//! connection of a process hears the channels of those agents that are watched here.
//!
//! Why within the function: it costs the server about a microsecond where nobody listens, needs no request of its own,
//! and what is published leaves the server no earlier than the append's own answer. Where the server refuses to
//! publish, nothing else comes of that. On a cluster the channels are sharded (Redis 7), each at its agent's server.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kode_core::id::AgentId;
use kode_core::store::wakes::{Board, Watch};
use kode_core::store::{StoreError, StoreResult};
use redis::cmd;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::ear::{Ear, Heard};
use crate::layout::Layout;
use crate::script::Args;
use crate::server::Server;
use crate::url::RedisUrl;

/// How often the listener says something to itself; what has not come back by the next time never will.
const PROBE: Duration = Duration::from_secs(5);
/// How long the first one is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two attempts to listen; doubled up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Channels that begin to be heard at once.
const AT_ONCE: usize = 256;

/// The wakes of one store.
pub(crate) struct Wakes {
    board: Arc<Board>,
    listener: Listener,
    task: OnceLock<JoinHandle<()>>,
    /// What publishes, if the server lets us.
    command: Option<&'static str>,
}

/// What is needed to hear wakes.
#[derive(Clone)]
struct Listener {
    board: Arc<Board>,
    url: Arc<RedisUrl>,
    keys: Layout,
    is_cluster: bool,
    /// Where it talks to itself.
    probe: String,
}

impl Wakes {
    /// Looks whether the server lets us publish, and says so if it does not. `own` is this store's alone.
    pub(crate) async fn of(server: &Server, url: &RedisUrl, keys: &Layout, own: u64) -> Self {
        let (board, probe) = (Arc::<Board>::default(), keys.wakes_of_all(&format!("{own:016x}")));
        let command = publishing(server.is_cluster());
        let refused = server.refuses(cmd(command).arg(&probe).arg("")).await;
        if let Some(why) = &refused {
            tracing::warn!(
                store = %url,
                "agents of this node are followed by other nodes by asking again and again, since what they write cannot be \
                 published: {why}; docs/scaling.md lists what the store's user must be allowed to do"
            );
        }
        let (url, keys, is_cluster) = (Arc::new(url.clone()), keys.clone(), server.is_cluster());
        let listener = Listener { board: board.clone(), url, keys, is_cluster, probe };
        Self { board, listener, task: OnceLock::new(), command: refused.is_none().then_some(command) }
    }

    /// What a function is to publish when it moved an agent: a command and a channel; the first is empty for nothing.
    pub(crate) fn args(&self, agent: &AgentId, args: Args) -> Args {
        args.text(self.command.unwrap_or_default()).text(self.listener.keys.wakes(agent.as_str()))
    }

    /// Watches an agent, where anything can be heard. The first who does sets the listener going.
    pub(crate) fn watch(&self, agent: &AgentId) -> Option<Watch> {
        self.command?;
        self.task.get_or_init(|| tokio::spawn(self.listener.clone().keep()));
        Some(self.board.watch(agent))
    }
}

impl Drop for Wakes {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

fn publishing(is_cluster: bool) -> &'static str {
    if is_cluster { "SPUBLISH" } else { "PUBLISH" }
}

impl Listener {
    /// Listens again and again. Why it cannot is told once, until it could.
    async fn keep(self) {
        let (mut wait, mut told) = (FIRST_WAIT, false);
        loop {
            let mut heard = false;
            let ended = self.listen(&mut heard).await;
            self.board.deafen();
            if heard {
                (wait, told) = (FIRST_WAIT, false);
            }
            if let Err(error) = ended
                && !std::mem::replace(&mut told, true)
            {
                tracing::warn!(
                    store = %self.url, %error,
                    "no wakes come from the redis server, so agents of other nodes are followed by asking again and again"
                );
            }
            sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Hears until it cannot any more, and says why. `heard`: whether it could at all.
    async fn listen(&self, heard: &mut bool) -> StoreResult<()> {
        let mut ear = Ear::connect(self.url.clone(), self.is_cluster).await?;
        ear.listen(std::slice::from_ref(&self.probe)).await?;
        self.say_to_oneself(&mut ear).await?;
        timeout(PATIENCE, self.first(&mut ear)).await.map_err(|_| silent())??;
        *heard = true;
        let (mut channels, mut probe_at, mut answered) = (HashMap::new(), Instant::now() + PROBE, true);
        let mut behind = self.tune(&mut ear, &mut channels).await?;
        loop {
            tokio::select! {
                () = std::future::ready(()), if behind => behind = self.tune(&mut ear, &mut channels).await?,
                heard = ear.hear() => match heard {
                    Heard::Message(channel) if channel == self.probe => answered = true,
                    Heard::Message(channel) => {
                        channels.get(&channel).into_iter().for_each(|agent: &Arc<str>| self.board.wake(agent));
                    }
                    // What was left on purpose is not among them any more.
                    Heard::Left(channel) if channels.contains_key(&channel) => return Err(moved_on()),
                    Heard::Left(_) => {}
                    Heard::Broken => return Err(broken()),
                },
                () = self.board.changed() => behind = true,
                () = sleep_until(probe_at) => {
                    if !std::mem::take(&mut answered) {
                        return Err(silent());
                    }
                    self.say_to_oneself(&mut ear).await?;
                    probe_at = Instant::now() + PROBE;
                }
            }
        }
    }

    async fn say_to_oneself(&self, ear: &mut Ear) -> StoreResult<()> {
        ear.say(publishing(self.is_cluster), &self.probe).await
    }

    /// Waits for what was said.
    async fn first(&self, ear: &mut Ear) -> StoreResult<()> {
        loop {
            match ear.hear().await {
                Heard::Message(channel) if channel == self.probe => return Ok(()),
                Heard::Message(_) | Heard::Left(_) => {}
                Heard::Broken => return Err(broken()),
            }
        }
    }

    /// Hears the channels of those that are watched now, and no others, some at a time: whether more are left. An
    /// agent's wakes come from when the server has said so.
    async fn tune(&self, ear: &mut Ear, channels: &mut HashMap<String, Arc<str>>) -> StoreResult<bool> {
        let watched = self.board.watched();
        let wanted: HashMap<String, Arc<str>> =
            watched.into_iter().map(|agent| (self.keys.wakes(&agent), agent)).collect();
        let gone: Vec<String> = channels.keys().filter(|old| !wanted.contains_key(*old)).cloned().collect();
        channels.retain(|channel, _| wanted.contains_key(channel));
        for some in gone.chunks(AT_ONCE) {
            ear.leave(some).await?;
        }
        let all_new: Vec<String> =
            wanted.keys().filter(|channel| !channels.contains_key(*channel)).cloned().collect();
        let (new, left) = all_new.split_at(all_new.len().min(AT_ONCE));
        if !new.is_empty() {
            ear.listen(new).await?;
        }
        channels
            .extend(new.iter().filter_map(|channel| Some((channel.clone(), wanted.get(channel)?.clone()))));
        // Also one that was given back and watched again meanwhile: it begins as one that hears nothing.
        channels.values().for_each(|agent| self.board.hear(agent));
        Ok(!left.is_empty())
    }
}

fn broken() -> StoreError {
    StoreError::Unavailable("the connection that listens ended".into())
}

fn moved_on() -> StoreError {
    StoreError::Unavailable("a channel went to another server of the cluster".into())
}

fn silent() -> StoreError {
    StoreError::Unavailable("what was published was not heard on the connection that listens for it".into())
}
