//! Checkpoints: one row with four documents, replaced as a whole.

use std::collections::BTreeMap;

use bytes::Bytes;
use kode_core::id::{AgentId, Seq};
use kode_core::store::{CHECKPOINT_FILES, Checkpoint, Lease, StoreError, StoreResult};

use crate::agent_row::{get, signed, unsigned, write};
use crate::pool::Pool;

const SAVE: &str = "
INSERT INTO {s}.checkpoints (agent, seq, messages, tools, todos, metadata) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (agent) DO UPDATE SET seq = excluded.seq, messages = excluded.messages, tools = excluded.tools,
    todos = excluded.todos, metadata = excluded.metadata";

const LOAD: &str = "SELECT seq, messages, tools, todos, metadata FROM {s}.checkpoints WHERE agent = $1";

/// The commit waits for the server's log, in which all entries that are covered come before it.
pub(crate) async fn save(pool: &Pool, lease: &Lease, checkpoint: &Checkpoint) -> StoreResult<()> {
    let mut writing = write(pool, lease).await?;
    if let Err(why) = fit(checkpoint, writing.end) {
        return writing.transaction.refuse(why).await;
    }
    let save = pool.sql(SAVE).bind(lease.agent.as_str()).bind(signed(checkpoint.seq.0));
    let document = |name| checkpoint.files.get(name).map(|bytes| &bytes[..]);
    let save = CHECKPOINT_FILES.into_iter().fold(save, |save, name| save.bind(document(name)));
    writing.transaction.rows(save).await?;
    writing.transaction.commit().await
}

fn fit(checkpoint: &Checkpoint, end: Seq) -> StoreResult<()> {
    if checkpoint.seq > end || end == Seq::ZERO {
        return Err(StoreError::Conflict { expected: checkpoint.seq, actual: end });
    }
    match checkpoint.files.keys().find(|name| !CHECKPOINT_FILES.contains(&name.as_str())) {
        Some(name) => Err(StoreError::Incompatible(format!("a checkpoint has no document {name:?}"))),
        None => Ok(()),
    }
}

pub(crate) async fn load(pool: &Pool, agent: &AgentId) -> StoreResult<Option<Checkpoint>> {
    let Some(row) = pool.row(pool.sql(LOAD).bind(agent.as_str())).await? else { return Ok(None) };
    let mut files = BTreeMap::new();
    for (column, name) in (1..).zip(CHECKPOINT_FILES) {
        if let Some(document) = get::<Option<Vec<u8>>>(&row, column)? {
            files.insert(name.to_owned(), Bytes::from(document));
        }
    }
    Ok(Some(Checkpoint { seq: Seq(unsigned(get(&row, 0)?)), files }))
}
