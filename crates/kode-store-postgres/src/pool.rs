//! Connections: few, each used by one call at a time, and never longer than patience allows.
//!
//! A connection goes back only when its call came to its end. One that failed, took too long or was dropped with its
//! call is closed, and the server undoes what was not committed. No session state is used, so behind a proxy that
//! pools transactions each call is one transaction and nothing else. What never belongs here: a retry.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kode_core::store::{StoreError, StoreResult};
use sqlx::postgres::{PgArguments, PgConnection, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::failed;
use crate::url::Place;

/// A connection that was idle for longer is asked whether it still works: the server may have been started anew.
const FRESH: Duration = Duration::from_secs(2);
/// A connection is closed at this age, so that a server's memory for it, and what balances servers, come to rest.
const AGE_MAX: Duration = Duration::from_secs(30 * 60);

/// How long a statement over all rows of an agent may take.
const PATIENCE_MAX: Duration = Duration::from_secs(300);

/// A statement with its values.
pub(crate) type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// A statement of ours. Its text has no values in it: those are bound.
pub(crate) fn statement<'q>(sql: String) -> Statement<'q> {
    sqlx::query(AssertSqlSafe(sql))
}

/// The connections of one store.
pub(crate) struct Pool {
    place: Place,
    permits: Semaphore,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: PgConnection,
    made: Instant,
    since: Instant,
}

/// A connection in use.
pub(crate) struct Taken<'p> {
    pool: &'p Pool,
    connection: PgConnection,
    made: Instant,
    _permit: SemaphorePermit<'p>,
}

/// A transaction. Dropped, it is undone, and its connection closed.
pub(crate) struct Transaction<'p>(Taken<'p>);

impl Pool {
    pub(crate) fn new(place: Place) -> Self {
        let permits = Semaphore::new(place.connections);
        Self { place, permits, idle: Mutex::default() }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// A statement of this store, from its text.
    pub(crate) fn sql<'q>(&self, text: &str) -> Statement<'q> {
        statement(self.place.schema.sql(text))
    }

    /// Does one statement, a transaction of its own, and gives its rows.
    pub(crate) async fn rows(&self, statement: Statement<'_>) -> StoreResult<Vec<PgRow>> {
        if self.place.proxied {
            // The driver prepares and executes in two steps, which only a transaction keeps on one session.
            let mut transaction = self.begin().await?;
            let rows = transaction.rows(statement).await?;
            transaction.commit().await?;
            return Ok(rows);
        }
        let mut taken = self.take().await?;
        let rows = taken.rows(statement).await?;
        taken.give_back();
        Ok(rows)
    }

    /// The same for a statement of one row at most.
    pub(crate) async fn row(&self, statement: Statement<'_>) -> StoreResult<Option<PgRow>> {
        Ok(self.rows(statement).await?.into_iter().next())
    }

    /// Begins a transaction in which each statement sees what was committed before it.
    pub(crate) async fn begin(&self) -> StoreResult<Transaction<'_>> {
        self.begin_as("BEGIN ISOLATION LEVEL READ COMMITTED").await
    }

    /// Begins a transaction that writes nothing and in which all statements see the same.
    pub(crate) async fn look(&self) -> StoreResult<Transaction<'_>> {
        self.begin_as("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
    }

    async fn begin_as(&self, begin: &'static str) -> StoreResult<Transaction<'_>> {
        let mut transaction = Transaction(self.take().await?);
        transaction.say(begin).await?;
        Ok(transaction)
    }

    /// A connection for what is more than statements of ours.
    pub(crate) async fn take(&self) -> StoreResult<Taken<'_>> {
        let permit = self.within("waiting for a free connection", async {
            Ok(self.permits.acquire().await.expect("nobody closes it"))
        });
        let permit = permit.await?;
        while let Some(mut idle) = self.newest() {
            let fresh = idle.since.elapsed() < FRESH;
            if fresh || self.within("asking the database", idle.connection.ping()).await.is_ok() {
                let Idle { connection, made, .. } = idle;
                return Ok(Taken { pool: self, connection, made, _permit: permit });
            }
        }
        let connection = PgConnection::connect_with(&self.place.connect);
        let connection = self.within("connecting to the database", connection).await?;
        Ok(Taken { pool: self, connection, made: Instant::now(), _permit: permit })
    }

    /// The one that was used last, so that those that are not needed grow old.
    fn newest(&self) -> Option<Idle> {
        let mut idle = self.idle();
        idle.retain(|idle| idle.made.elapsed() < AGE_MAX);
        idle.pop()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        // Whoever panicked left a list of connections, and that is what it is.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn within<T>(&self, doing: &str, work: impl Future<Output = sqlx::Result<T>>) -> StoreResult<T> {
        let patience = self.place.patience;
        match tokio::time::timeout(patience, work).await {
            Ok(done) => done.map_err(|error| failed(&error)),
            Err(_) => {
                Err(StoreError::Unavailable(format!("{doing} took more than {} s", patience.as_secs())))
            }
        }
    }
}

impl Taken<'_> {
    async fn rows(&mut self, statement: Statement<'_>) -> StoreResult<Vec<PgRow>> {
        let statement = statement.persistent(!self.pool.place.proxied);
        self.pool.within("a statement", statement.fetch_all(&mut self.connection)).await
    }

    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Only once nothing is left to be read from it.
    pub(crate) fn give_back(self) {
        let Self { pool, connection, made, .. } = self;
        pool.idle().push(Idle { connection, made, since: Instant::now() });
    }
}

impl Transaction<'_> {
    pub(crate) async fn rows(&mut self, statement: Statement<'_>) -> StoreResult<Vec<PgRow>> {
        self.0.rows(statement).await
    }

    /// The same for a statement of one row at most.
    pub(crate) async fn row(&mut self, statement: Statement<'_>) -> StoreResult<Option<PgRow>> {
        Ok(self.rows(statement).await?.into_iter().next())
    }

    /// A statement that touches many rows, and may take its time.
    pub(crate) async fn work(&mut self, statement: Statement<'_>) -> StoreResult<()> {
        let statement = statement.persistent(!self.0.pool.place.proxied);
        let work = tokio::time::timeout(PATIENCE_MAX, statement.execute(&mut self.0.connection)).await;
        match work {
            Ok(done) => done.map(drop).map_err(|error| failed(&error)),
            Err(_) => Err(StoreError::Unavailable("a statement over many rows took too long".into())),
        }
    }

    pub(crate) async fn commit(mut self) -> StoreResult<()> {
        self.say("COMMIT").await?;
        self.0.give_back();
        Ok(())
    }

    /// Undoes what was done, and gives the reason on. The connection is kept if it can be.
    pub(crate) async fn refuse<T>(mut self, why: StoreError) -> StoreResult<T> {
        if self.say("ROLLBACK").await.is_ok() {
            self.0.give_back();
        }
        Err(why)
    }

    /// A statement without values and rows, in one step.
    pub(crate) async fn say(&mut self, sql: &'static str) -> StoreResult<()> {
        let said = self.0.connection.execute(sqlx::raw_sql(sql));
        self.0.pool.within("a statement", said).await.map(drop)
    }
}
