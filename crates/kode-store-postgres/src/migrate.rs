//! The schema, by versions. Many nodes may start at once: one of them makes the tables, the others wait for it.
//!
//! All of it is one transaction under a lock that ends with it, so a crash leaves the old schema or the new one, and a
//! proxy that pools transactions does not part the lock from the work. A schema of a later version is refused.

use std::borrow::Cow;
use std::time::Duration;

use kode_core::store::{StoreError, StoreResult};
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _, SqlSafeStr as _};

use crate::agent_row::get;
use crate::error::failed;
use crate::pool::{Pool, statement};
use crate::url::{Place, Schema};

/// How long another node's migration, and then our own, may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// Name and text of each step, from version 1 on.
const STEPS: [(&str, &str); 2] = [
    ("tables", include_str!("migrations/0001_tables.sql")),
    ("node marks", include_str!("migrations/0002_node_marks.sql")),
];

/// Versions of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// The database's; zero where there are no tables yet.
    pub database: u32,
    /// This program's.
    pub program: u32,
}

impl Versions {
    /// # Errors
    /// `Incompatible` if the database's is later.
    fn check(self) -> StoreResult<Self> {
        if self.database <= self.program {
            return Ok(self);
        }
        Err(StoreError::Incompatible(format!(
            "the schema in the database is of version {}, and this program knows {} at most; use the version of kode \
             that made it, or a later one",
            self.database, self.program
        )))
    }
}

/// What is there. Changes nothing.
pub(crate) async fn look(pool: &Pool) -> StoreResult<Versions> {
    let program = u32::try_from(STEPS.len()).expect("there are few");
    let there = statement("SELECT to_regclass($1) IS NOT NULL".to_owned()).bind(table(&pool.place().schema));
    let there = pool.row(there).await?.map(|row| get::<bool>(&row, 0)).transpose()?;
    if there != Some(true) {
        return Ok(Versions { database: 0, program });
    }
    let newest = pool.row(pool.sql("SELECT coalesce(max(version), 0) FROM {s}.migrations")).await?;
    let newest = newest.map(|row| get::<i64>(&row, 0)).transpose()?.unwrap_or_default();
    Versions { database: u32::try_from(newest).unwrap_or(u32::MAX), program }.check()
}

/// Brings the schema to this version; tells what it was.
pub(crate) async fn run(pool: &Pool) -> StoreResult<Versions> {
    let before = look(pool).await?;
    if before.database < before.program {
        step_up(pool).await?;
    }
    Ok(before)
}

async fn step_up(pool: &Pool) -> StoreResult<()> {
    let mut taken = pool.take().await?;
    let done = tokio::time::timeout(PATIENCE, in_one_transaction(taken.connection(), pool.place())).await;
    let late =
        || StoreError::Unavailable("the migration took too long; see who holds locks in the database".into());
    done.unwrap_or_else(|_| Err(late()))?;
    taken.give_back();
    Ok(())
}

/// The migrator's own transactions are parts of this one.
async fn in_one_transaction(connection: &mut PgConnection, place: &Place) -> StoreResult<()> {
    let asked = |error| failed(&error);
    let mut transaction =
        connection.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await.map_err(asked)?;
    forget_statements(&mut transaction, place).await?;
    under_lock(&mut transaction, &place.schema).await?;
    forget_statements(&mut transaction, place).await?;
    transaction.commit().await.map_err(asked)
}

/// The migrator names the statements that it prepares. Behind a proxy they would be left to whoever has the session
/// next, and met there by others of the same names.
async fn forget_statements(connection: &mut PgConnection, place: &Place) -> StoreResult<()> {
    if !place.proxied {
        return Ok(());
    }
    connection.execute(sqlx::raw_sql("DEALLOCATE ALL")).await.map(drop).map_err(|error| failed(&error))
}

async fn under_lock(connection: &mut PgConnection, schema: &Schema) -> StoreResult<()> {
    let asked = |error| failed(&error);
    let lock = statement("SELECT pg_advisory_xact_lock(hashtextextended('kode store ' || $1, 0))".to_owned());
    lock.bind(schema.name()).execute(&mut *connection).await.map_err(asked)?;
    let there = statement("SELECT to_regnamespace($1) IS NOT NULL".to_owned()).bind(quoted(schema));
    let there = there.fetch_one(&mut *connection).await.map_err(asked)?;
    // Not `IF NOT EXISTS`, which asks for the right to make one also where it is there.
    if !get::<bool>(&there, 0)? {
        statement(format!("CREATE SCHEMA {}", quoted(schema)))
            .execute(&mut *connection)
            .await
            .map_err(asked)?;
    }
    let here = statement(format!("SET LOCAL search_path TO {}", quoted(schema)));
    here.execute(&mut *connection).await.map_err(asked)?;
    // Not `run`, of which the compiler cannot see that it may change threads.
    migrator(schema).run_direct(None, connection, false).await.map_err(refused)
}

fn migrator(schema: &Schema) -> Migrator {
    let step = |(nth, (name, sql)): (i64, (&'static str, &'static str))| {
        Migration::new(nth, Cow::Borrowed(name), MigrationType::Simple, sql.into_sql_str(), false)
    };
    let mut migrator = Migrator::with_migrations((1..).zip(STEPS).map(step).collect());
    // Its own lock is the session's, not the transaction's.
    migrator.set_locking(false);
    migrator.dangerous_set_table_name(table(schema));
    migrator
}

fn quoted(schema: &Schema) -> String {
    format!("\"{}\"", schema.name())
}

fn table(schema: &Schema) -> String {
    format!("{}.migrations", quoted(schema))
}

fn refused(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => failed(&error),
        other => StoreError::Incompatible(format!(
            "the schema in the database is not one that this program made: {other}; use another schema, or the version \
             of kode that made it"
        )),
    }
}
