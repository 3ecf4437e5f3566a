//! Runs of entries of which one is left: all of a call is one transaction.

use kode_core::id::Seq;
use kode_core::store::{Elision, Lease, StoreResult, check_runs};

use crate::agent_row::{get, signed, unsigned, write};
use crate::journal::Columns;
use crate::pool::Pool;

const COVERED: &str = "SELECT seq FROM {s}.checkpoints WHERE agent = $1";

/// A run fits if it begins right behind an entry, and ends with one.
const REPLACE: &str = "
WITH fit AS MATERIALIZED (
    SELECT run.* FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bytea[]) AS run (first, seq, told, body)
    WHERE (run.first = 1 OR EXISTS (SELECT FROM {s}.entries WHERE agent = $1 AND seq = run.first - 1))
    AND EXISTS (SELECT FROM {s}.entries WHERE agent = $1 AND seq = run.seq)
), gone AS (
    DELETE FROM {s}.entries USING fit
    WHERE entries.agent = $1 AND entries.seq >= fit.first AND entries.seq < fit.seq
)
UPDATE {s}.entries SET first = fit.first, told = fit.told, body = fit.body
FROM fit WHERE entries.agent = $1 AND entries.seq = fit.seq";

pub(crate) async fn elide(pool: &Pool, lease: &Lease, runs: &[Elision]) -> StoreResult<()> {
    let mut writing = write(pool, lease).await?;
    let covered = writing.transaction.row(pool.sql(COVERED).bind(lease.agent.as_str())).await?;
    let covered = covered.map(|row| get(&row, 0)).transpose()?.map(unsigned).map(Seq).unwrap_or_default();
    if let Err(why) = check_runs(runs, covered) {
        return writing.transaction.refuse(why).await;
    }
    let Columns { seqs, told, bodies } = Columns::of(runs.iter().map(|run| &run.entry));
    let firsts: Vec<i64> = runs.iter().map(|run| signed(run.from.0)).collect();
    let replace =
        pool.sql(REPLACE).bind(lease.agent.as_str()).bind(firsts).bind(seqs).bind(told).bind(bodies);
    writing.transaction.work(replace).await?;
    writing.transaction.commit().await
}
