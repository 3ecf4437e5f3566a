//! Which nodes there are: rows that end by the server's clock, unless their nodes say again that they are there.

use kode_core::id::Millis;
use kode_core::store::{Node, StoreResult};

use crate::agent_row::{get, signed};
use crate::leases::TTL_MAX;
use crate::pool::Pool;

/// Those whose time is over go, so that nothing piles up; the one that speaks again is no other's to remove.
const ANNOUNCE: &str = "
WITH gone AS (DELETE FROM {s}.nodes WHERE expires <= clock_timestamp() AND id <> $1)
INSERT INTO {s}.nodes (id, url, expires, mark)
VALUES ($1, $2, clock_timestamp() + $3 * interval '1 millisecond', $4)
ON CONFLICT (id) DO UPDATE SET url = excluded.url, expires = excluded.expires, mark = excluded.mark";

const WITHDRAW: &str = "DELETE FROM {s}.nodes WHERE id = $1";

const NODES: &str = "SELECT id, url, mark FROM {s}.nodes WHERE expires > clock_timestamp() ORDER BY id";

pub(crate) async fn announce(pool: &Pool, node: &Node, ttl: Millis) -> StoreResult<()> {
    let announce = pool.sql(ANNOUNCE).bind(&node.id).bind(&node.url).bind(signed(ttl.min(TTL_MAX)));
    let announce = announce.bind(&node.mark);
    pool.rows(announce).await.map(drop)
}

pub(crate) async fn withdraw(pool: &Pool, id: &str) -> StoreResult<()> {
    pool.rows(pool.sql(WITHDRAW).bind(id)).await.map(drop)
}

pub(crate) async fn nodes(pool: &Pool) -> StoreResult<Vec<Node>> {
    let rows = pool.rows(pool.sql(NODES)).await?;
    rows.iter().map(|row| Ok(Node { id: get(row, 0)?, url: get(row, 1)?, mark: get(row, 2)? })).collect()
}
