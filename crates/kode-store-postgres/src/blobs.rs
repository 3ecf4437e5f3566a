//! Blobs: rows beside the journal, each under its own name.

use bytes::Bytes;
use kode_core::id::{AgentId, Seq};
use kode_core::store::blob::room;
use kode_core::store::{BlobName, BlobPart, Lease, StoreError, StoreResult};

use crate::agent_row::{get, unsigned, write};
use crate::pool::Pool;

const OTHERS: &str = "SELECT count(*) FROM {s}.blobs WHERE agent = $1 AND name <> $2";

const PUT: &str = "
INSERT INTO {s}.blobs (agent, name, bytes) VALUES ($1, $2, $3)
ON CONFLICT (agent, name) DO UPDATE SET bytes = excluded.bytes";

const READ: &str = "
SELECT octet_length(bytes)::bigint, substring(bytes FROM $3 FOR $4) FROM {s}.blobs WHERE agent = $1 AND name = $2";

/// Keeps bytes under a name. The count is taken under the lock of the agent's row, so the bound holds in a race.
pub(crate) async fn put(pool: &Pool, lease: &Lease, name: &BlobName, bytes: &[u8]) -> StoreResult<()> {
    let mut writing = write(pool, lease).await?;
    if writing.end == Seq::ZERO {
        let conflict = StoreError::Conflict { expected: Seq::ZERO.next(), actual: Seq::ZERO };
        return writing.transaction.refuse(conflict).await;
    }
    let (agent, name) = (lease.agent.as_str(), name.as_str());
    let others = writing.transaction.row(pool.sql(OTHERS).bind(agent).bind(name)).await?;
    let others = others.map(|row| get::<i64>(&row, 0)).transpose()?.unwrap_or_default();
    if let Err(why) = room(bytes.len(), usize::try_from(others).unwrap_or(usize::MAX)) {
        return writing.transaction.refuse(why).await;
    }
    writing.transaction.rows(pool.sql(PUT).bind(agent).bind(name).bind(bytes)).await?;
    writing.transaction.commit().await
}

pub(crate) async fn read(
    pool: &Pool,
    agent: &AgentId,
    name: &BlobName,
    offset: u64,
    limit: usize,
) -> StoreResult<Option<BlobPart>> {
    // Places of the server begin at 1, and end far above the largest blob.
    let from = i32::try_from(offset.saturating_add(1)).unwrap_or(i32::MAX);
    let limit = i32::try_from(limit).unwrap_or(i32::MAX);
    let read = pool.sql(READ).bind(agent.as_str()).bind(name.as_str()).bind(from).bind(limit);
    let Some(row) = pool.row(read).await? else { return Ok(None) };
    Ok(Some(BlobPart { len: unsigned(get(&row, 0)?), bytes: Bytes::from(get::<Vec<u8>>(&row, 1)?) }))
}
