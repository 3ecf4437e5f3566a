//! The row of an agent: who may write, and where the journal ends. Whoever writes locks it first.

use kode_core::id::{Epoch, Seq};
use kode_core::store::{Lease, StoreError, StoreResult};
use sqlx::postgres::{PgRow, Postgres};
use sqlx::{Decode, Row as _, Type};

use crate::error::failed;
use crate::pool::{Pool, Transaction};

/// Locks the row until the transaction's end, and has its commit wait for the disk.
const LOCK: &str = "
SELECT seq, leased, CASE current_setting('synchronous_commit')
    WHEN 'off' THEN set_config('synchronous_commit', 'on', true) END
FROM {s}.agents WHERE id = $1 FOR UPDATE";

/// A transaction that holds an agent's row under a lease in force.
pub(crate) struct Writing<'p> {
    pub(crate) transaction: Transaction<'p>,
    /// The last entry.
    pub(crate) end: Seq,
}

/// Begins to write under a lease.
///
/// # Errors
/// `Fenced`, if it is not in force.
pub(crate) async fn write<'p>(pool: &'p Pool, lease: &Lease) -> StoreResult<Writing<'p>> {
    let mut transaction = pool.begin().await?;
    let row = transaction.row(pool.sql(LOCK).bind(lease.agent.as_str())).await?;
    let (end, leased) = match &row {
        Some(row) => (get::<i64>(row, 0)?, get::<Option<i64>>(row, 1)?),
        None => (0, None),
    };
    match in_force(lease, leased) {
        Ok(()) => Ok(Writing { transaction, end: Seq(unsigned(end)) }),
        Err(fenced) => transaction.refuse(fenced).await,
    }
}

/// Whether a lease is the one of the row. With none there, a fenced lease is told its own epoch.
pub(crate) fn in_force(lease: &Lease, leased: Option<i64>) -> StoreResult<()> {
    let current = leased.map_or(lease.epoch, epoch);
    let fenced = StoreError::Fenced { epoch: lease.epoch, current };
    if leased.is_some() && current == lease.epoch { Ok(()) } else { Err(fenced) }
}

/// A column of a row.
pub(crate) fn get<'r, T: Decode<'r, Postgres> + Type<Postgres>>(
    row: &'r PgRow,
    column: usize,
) -> StoreResult<T> {
    row.try_get(column).map_err(|error| failed(&error))
}

/// A number of ours, as the database has it; one beyond its range is beyond everything there.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number of the database's.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// An epoch of the database's.
pub(crate) fn epoch(number: i64) -> Epoch {
    Epoch(u32::try_from(number).unwrap_or_default())
}
