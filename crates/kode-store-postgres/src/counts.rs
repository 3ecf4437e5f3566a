//! Counts by name and day. No commit of theirs waits for the disk: a crash of the server may take the last ones.

use kode_core::store::counters::Day;
use kode_core::store::{StoreError, StoreResult};
use sqlx::postgres::PgRow;

use crate::agent_row::get;
use crate::pool::Pool;

/// Days that are kept: more than need be, for nodes whose clocks differ.
const KEPT: i64 = 7;

/// Numbers go as text: the database has none of 64 bits without a sign.
const ADD: &str = "
INSERT INTO {s}.counts AS kept (day, name, n) VALUES ($1, $2, $3::numeric)
ON CONFLICT (day, name) DO UPDATE SET n = least(kept.n + excluded.n, 18446744073709551615)
RETURNING n::text, set_config('synchronous_commit', 'off', true)";

const FORGET: &str = "DELETE FROM {s}.counts WHERE day < $1";

const COUNT: &str = "SELECT n::text FROM {s}.counts WHERE day = $1 AND name = $2";

pub(crate) async fn add(pool: &Pool, name: &str, day: Day, n: u64) -> StoreResult<u64> {
    let day = i64::from(day.0);
    let added = pool.row(pool.sql(ADD).bind(day).bind(name.as_bytes()).bind(n.to_string())).await?;
    let count = number(added)?;
    if count == n {
        // The first of a name's day: often enough to look for what is old.
        pool.rows(pool.sql(FORGET).bind(day - KEPT)).await?;
    }
    Ok(count)
}

pub(crate) async fn count(pool: &Pool, name: &str, day: Day) -> StoreResult<u64> {
    number(pool.row(pool.sql(COUNT).bind(i64::from(day.0)).bind(name.as_bytes())).await?)
}

fn number(row: Option<PgRow>) -> StoreResult<u64> {
    let Some(row) = row else { return Ok(0) };
    let text = get::<&str>(&row, 0)?;
    text.parse().map_err(|_| StoreError::Incompatible(format!("the table counts has the count {text:?}")))
}
