//! Which agents there are, and their end.

use kode_core::id::AgentId;
use kode_core::store::{Lease, StoreError, StoreResult};
use sqlx::postgres::PgRow;

use crate::agent_row::{get, write};
use crate::pool::Pool;

const ALL: &str = "SELECT id FROM {s}.agents WHERE alive AND id > $1 ORDER BY id LIMIT $2";

/// The one of that name, and those from `name:` up to the next sign after `:`, so that nothing else is looked at.
const UNDER: &str = "
(SELECT id FROM {s}.agents WHERE alive AND id = $3 AND id > $1 LIMIT $2)
UNION ALL
(SELECT id FROM {s}.agents WHERE alive AND id > $1 AND id >= $3 || ':' AND id < $3 || ';' ORDER BY id LIMIT $2)
ORDER BY id LIMIT $2";

/// All but the row itself, which keeps the epochs: the tombstone.
const DELETE: &str = "
WITH entry AS (DELETE FROM {s}.entries WHERE agent = $1),
    checkpoint AS (DELETE FROM {s}.checkpoints WHERE agent = $1),
    blob AS (DELETE FROM {s}.blobs WHERE agent = $1)
UPDATE {s}.agents SET seq = 0, epoch = 0, last_cursor = 0, leased = NULL, holder = NULL, expires = NULL,
    unfinished = false
WHERE id = $1";

const PROBE: &str = "
UPDATE {s}.probe SET at = clock_timestamp() RETURNING at, CASE current_setting('synchronous_commit')
    WHEN 'off' THEN set_config('synchronous_commit', 'on', true) END";

pub(crate) async fn list(
    pool: &Pool,
    prefix: &str,
    after: Option<&AgentId>,
    limit: usize,
) -> StoreResult<Vec<AgentId>> {
    let prefix = prefix.strip_suffix(':').unwrap_or(prefix);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let text = if prefix.is_empty() { ALL } else { UNDER };
    let list = pool.sql(text).bind(after.map_or("", AgentId::as_str)).bind(limit);
    let list = if prefix.is_empty() { list } else { list.bind(prefix) };
    ids(&pool.rows(list).await?)
}

/// The names in the first column of rows.
pub(crate) fn ids(rows: &[PgRow]) -> StoreResult<Vec<AgentId>> {
    let id = |row| {
        let name = get::<&str>(row, 0)?;
        AgentId::new(name)
            .map_err(|why| StoreError::Incompatible(format!("the table agents has {name:?}: {why}")))
    };
    rows.iter().map(id).collect()
}

pub(crate) async fn delete(pool: &Pool, lease: &Lease) -> StoreResult<()> {
    let mut writing = write(pool, lease).await?;
    writing.transaction.work(pool.sql(DELETE).bind(lease.agent.as_str())).await?;
    writing.transaction.commit().await
}

/// Writes a row, and waits for the disk.
pub(crate) async fn ready(pool: &Pool) -> StoreResult<()> {
    match pool.row(pool.sql(PROBE)).await? {
        Some(_) => Ok(()),
        None => Err(StoreError::Incompatible("the table probe has lost its row; insert one".into())),
    }
}
