//! For a person who cares for a store: whether an agent's rows fit together.

use kode_core::id::{AgentId, Seq};
use kode_core::store::{After, Head, StoreResult};

use crate::agent_row::{get, unsigned};
use crate::error::damaged;
use crate::journal::{head_in, read_in};
use crate::pool::Pool;

/// Entries looked at together.
const PAGE: usize = 1_024;

const COVERED: &str = "SELECT seq FROM {s}.checkpoints WHERE agent = $1";

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// The last entry.
    pub head: Seq,
    /// How many rows there are: fewer than the head says, where runs were elided.
    pub rows: u64,
    /// The checkpoint's seq, if there is one.
    pub checkpoint: Option<Seq>,
}

/// Reads an agent's whole journal as it stands at one moment.
pub(crate) async fn check(pool: &Pool, agent: &AgentId) -> StoreResult<Option<Report>> {
    let mut look = pool.look().await?;
    let head = head_in(&mut look, pool, agent).await?;
    let (mut last, mut rows) = (Head::default(), 0);
    loop {
        let page = read_in(&mut look, pool, agent, After::Seq(last.seq), PAGE).await?;
        rows += page.len() as u64;
        let at_end = page.len() < PAGE;
        if let Some(entry) = page.last() {
            last = Head { seq: entry.seq, epoch: entry.epoch, cursor: entry.last_cursor() };
        }
        if at_end {
            break;
        }
    }
    let covered = look.row(pool.sql(COVERED).bind(agent.as_str())).await?;
    let checkpoint = covered.map(|row| get(&row, 0)).transpose()?.map(unsigned).map(Seq);
    look.commit().await?;
    if head.unwrap_or_default() != last {
        let said = format!("it ends at {}, and the entries at {}", head.unwrap_or_default().seq, last.seq);
        return Err(damaged(agent, "table agents".into(), said));
    }
    if let Some(covered) = checkpoint.filter(|covered| *covered > last.seq) {
        let said = format!("it covers entry {covered}, and the entries end at {}", last.seq);
        return Err(damaged(agent, "table checkpoints".into(), said));
    }
    Ok(head.map(|head| Report { head: head.seq, rows, checkpoint }))
}
