//! Hearing that journals moved: one session that listens, made anew when it is lost.
//!
//! Whether anything comes by it is found out by telling something to oneself. Behind a proxy that pools transactions
//! the server's session that listens is soon another client's: where the URL says that there is one, none is made.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::{Arc, Once, OnceLock};
use std::time::Duration;

use kode_core::id::AgentId;
use kode_core::store::wakes::{Board, Watch};
use kode_core::store::{StoreError, StoreResult};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::error::failed;
use crate::pool::Pool;
use crate::voice::{BETWEEN, channel, notify};

/// How often the listener tells something to itself; what has not come back by the next time never will.
const PROBE: Duration = Duration::from_secs(5);
/// How long the first one is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two attempts to listen; doubled up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The wait where a session listens and hears nothing: something in between takes it away each time.
const DEAF_WAIT: Duration = Duration::from_secs(300);

/// The wakes of one store.
pub(crate) struct Wakes {
    listener: Listener,
    task: OnceLock<JoinHandle<()>>,
    told: Once,
}

/// What is needed to hear them.
#[derive(Clone)]
struct Listener {
    pool: Arc<Pool>,
    /// Where its session goes to.
    connect: PgConnectOptions,
    board: Arc<Board>,
    /// What it tells to itself; no agent's id begins so.
    probe: String,
}

/// How listening ended.
enum Ended {
    /// The session listened, and what was told was not heard.
    Deaf,
    /// It heard, or did not come about.
    Failed(StoreError),
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl Wakes {
    pub(crate) fn of(pool: &Arc<Pool>) -> Self {
        // Random for each: no other process's.
        let probe = format!("?{:016x}", RandomState::new().build_hasher().finish());
        let (pool, connect) = (pool.clone(), pool.place().connect.clone());
        let listener = Listener { pool, connect, board: Arc::default(), probe };
        Self { listener, task: OnceLock::new(), told: Once::new() }
    }

    /// Watches an agent, where anything can be heard. The first who does sets the listener going.
    pub(crate) fn watch(&self, agent: &AgentId) -> Option<Watch> {
        if self.listener.pool.place().proxied {
            self.told.call_once(|| {
                tracing::info!(
                    "postgres: nothing can be listened for behind proxy=transaction, so agents of other nodes are followed \
                     by asking again and again"
                );
            });
            return None;
        }
        self.task.get_or_init(|| tokio::spawn(self.listener.clone().keep()));
        Some(self.listener.board.watch(agent))
    }
}

impl Drop for Wakes {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
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
            let why = match &ended {
                Ended::Deaf => {
                    "what is notified is not heard (is there a proxy that pools transactions? docs/operations.md)."
                }
                Ended::Failed(_) => "the session that listens is lost.",
            };
            if !std::mem::replace(&mut told, true) {
                let error = if let Ended::Failed(error) = &ended { Some(error.to_string()) } else { None };
                tracing::warn!(
                    error,
                    "postgres: {why} Agents of other nodes are followed by asking again and again"
                );
            }
            sleep(if matches!(ended, Ended::Deaf) { DEAF_WAIT } else { wait }).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Hears until it cannot any more. `heard`: whether it could at all.
    async fn listen(&self, heard: &mut bool) -> Ended {
        match self.hear(heard).await {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    async fn hear(&self, heard: &mut bool) -> Result<std::convert::Infallible, Ended> {
        let mut session = self.session().await?;
        self.tell_oneself().await?;
        match timeout(PATIENCE, self.first(&mut session)).await {
            Ok(first) => first?,
            Err(_) => return Err(Ended::Deaf),
        }
        *heard = true;
        self.board.hear_all();
        let (mut probe_at, mut answered) = (Instant::now() + PROBE, true);
        loop {
            match timeout_at(probe_at, next(&mut session)).await {
                Ok(payload) => {
                    let payload = payload?;
                    answered |= payload == self.probe;
                    payload.split(BETWEEN).for_each(|agent| self.board.wake(agent));
                }
                Err(_) if !std::mem::take(&mut answered) => return Err(Ended::Failed(lost())),
                Err(_) => {
                    self.tell_oneself().await?;
                    probe_at = Instant::now() + PROBE;
                }
            }
        }
    }

    /// A session beside those of the pool.
    async fn session(&self) -> StoreResult<PgListener> {
        let patience = self.pool.place().patience;
        // The driver makes a session that listens out of a pool of its own.
        let sessions = PgPoolOptions::new().max_connections(1).acquire_timeout(patience);
        let sessions = sessions.idle_timeout(None).max_lifetime(None).connect_lazy_with(self.connect.clone());
        let listen = async {
            let mut session = PgListener::connect_with(&sessions).await?;
            session.eager_reconnect(false);
            session.listen(&channel(&self.pool)).await?;
            Ok(session)
        };
        match timeout(patience, listen).await {
            Ok(session) => session.map_err(|error| failed(&error)),
            Err(_) => Err(lost()),
        }
    }

    async fn tell_oneself(&self) -> StoreResult<()> {
        notify(&self.pool, vec![self.probe.clone()]).await
    }

    /// Waits for what was told.
    async fn first(&self, session: &mut PgListener) -> StoreResult<()> {
        while next(session).await? != self.probe {}
        Ok(())
    }
}

/// What is notified next. Cancel safe.
async fn next(session: &mut PgListener) -> StoreResult<String> {
    match session.try_recv().await {
        Ok(Some(told)) => Ok(told.payload().to_owned()),
        Ok(None) => Err(lost()),
        Err(error) => Err(failed(&error)),
    }
}

fn lost() -> StoreError {
    StoreError::Unavailable("the session that listens was lost".into())
}

#[cfg(test)]
mod tests {
    use kode_testkit::servers::PostgresServer;
    use kode_testkit::store_suite::pen::id;
    use kode_testkit::store_suite::run;
    use kode_testkit::wakes::heard;

    use super::*;
    use crate::url::Place;

    fn place(url: &str) -> Place {
        Place::parse(&format!("{url}?durability=none")).unwrap()
    }

    /// A session that listens behind a proxy that pools transactions, of which no URL told.
    #[test]
    fn a_session_that_hears_nothing_is_found_out() {
        let Some(server) = PostgresServer::start(&[]) else { return };
        let Some(proxy) = server.proxy() else { return };
        run(async {
            let pool = Arc::new(Pool::new(place(&server.url())));
            let wakes = Wakes::of(&pool);
            let mut watch = wakes.listener.board.watch(&id("a"));
            let mut could = false;
            tokio::select! {
                _ = wakes.listener.listen(&mut could) => panic!("it listens no longer"),
                () = heard(&mut watch) => {}
            }
            let behind = Listener { connect: place(&proxy.url()).connect, ..wakes.listener.clone() };
            let mut could = false;
            assert!(matches!(behind.listen(&mut could).await, Ended::Deaf) && !could);
        });
    }
}
