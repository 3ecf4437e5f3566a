//! Who may write, by the server's clock alone: nodes whose clocks differ agree on when a lease ends.
//!
//! The caller's clock serves the caller: it says when the lease ends there, counted from before the request, so it
//! ends there first.

use kode_core::id::{AgentId, Cursor, Epoch, Millis, Seq};
use kode_core::store::{Abandoned, Head, Holder, Lease, StoreError, StoreResult};

use crate::agent_row::{epoch, get, in_force, signed, unsigned};
use crate::catalog::ids;
use crate::pool::Pool;

/// Longest lease, and longest word of a node: ten years. The database's clock ends earlier than ours.
pub(crate) const TTL_MAX: Millis = 10 * 365 * 86_400_000;

/// The time is asked once, before any wait for the row: too early is on the safe side for the end of the other's
/// lease, and still after the request for the caller's. The epoch is [`Epoch::grant`]'s, and on the disk before it is
/// told: one that the server forgot could be granted twice.
const ACQUIRE: &str = "
WITH clock AS MATERIALIZED (SELECT clock_timestamp() AS now, CASE current_setting('synchronous_commit')
    WHEN 'off' THEN set_config('synchronous_commit', 'on', true) END)
INSERT INTO {s}.agents AS agent (id, granted, leased, holder, expires, unfinished)
SELECT $1, coarse + 1, coarse + 1, $2, now + $3 * interval '1 millisecond', true FROM clock, LATERAL (
    SELECT least(greatest(floor((extract(epoch FROM now) * 1000 - $5) / $6), 0), $4 - 1)::bigint AS coarse
) AS time
ON CONFLICT (id) DO UPDATE SET
    granted = greatest(agent.granted + 1, agent.epoch + 1, excluded.granted),
    leased = greatest(agent.granted + 1, agent.epoch + 1, excluded.granted),
    holder = excluded.holder, expires = excluded.expires, unfinished = true
WHERE (agent.leased IS NULL OR agent.holder = excluded.holder
    OR agent.expires <= excluded.expires - $3 * interval '1 millisecond')
    AND greatest(agent.granted, agent.epoch) < $4
RETURNING leased";

const HOLDER: &str = "
SELECT leased, holder, ceil(greatest(extract(epoch FROM expires - clock_timestamp()) * 1000, 0))::bigint,
    greatest(granted, epoch)
FROM {s}.agents WHERE id = $1";

const RENEW: &str = "
WITH held AS MATERIALIZED (SELECT leased FROM {s}.agents WHERE id = $1 FOR UPDATE), renewed AS (
    UPDATE {s}.agents SET expires = clock_timestamp() + $3 * interval '1 millisecond'
    FROM held WHERE agents.id = $1 AND held.leased = $2
)
SELECT leased FROM held";

const RELEASE: &str = "
UPDATE {s}.agents SET leased = NULL, holder = NULL, expires = NULL, unfinished = NOT $3
WHERE id = $1 AND leased = $2";

const HELD_BY: &str = "
SELECT holder, leased, ceil(extract(epoch FROM expires - clock_timestamp()) * 1000)::bigint
FROM {s}.agents WHERE id = $1 AND leased IS NOT NULL AND expires > clock_timestamp()";

const ABANDONED: &str = "
SELECT id, seq, epoch, last_cursor FROM {s}.agents
WHERE unfinished AND (leased IS NULL OR expires <= clock_timestamp()) ORDER BY id";

const UNFINISHED: &str = "SELECT id FROM {s}.agents WHERE unfinished ORDER BY id";

pub(crate) async fn acquire(
    pool: &Pool,
    agent: &AgentId,
    holder: &str,
    ttl: Millis,
    now: Millis,
) -> StoreResult<Lease> {
    let acquire = pool
        .sql(ACQUIRE)
        .bind(agent.as_str())
        .bind(holder)
        .bind(signed(ttl.min(TTL_MAX)))
        .bind(i64::from(Epoch::MAX.0))
        .bind(signed(Epoch::COARSE_ZERO))
        .bind(signed(Epoch::COARSE_MS));
    match pool.row(acquire).await? {
        Some(row) => {
            let epoch = epoch(get(&row, 0)?);
            Ok(Lease { agent: agent.clone(), epoch, expires: now.saturating_add(ttl) })
        }
        None => Err(why_not(pool, agent, now).await?),
    }
}

/// Why a lease was not granted.
async fn why_not(pool: &Pool, agent: &AgentId, now: Millis) -> StoreResult<StoreError> {
    let row = pool.row(pool.sql(HOLDER).bind(agent.as_str())).await?;
    let Some(row) = row else { return Ok(StoreError::Unavailable("the agent's row is gone".into())) };
    if get::<i64>(&row, 3)? >= i64::from(Epoch::MAX.0) {
        return Ok(StoreError::Incompatible(format!("{agent}: no epoch above {} is left", Epoch::MAX)));
    }
    // Given back, or over, between the two statements: then the same call succeeds at once.
    let holder = get::<Option<String>>(&row, 1)?.unwrap_or_default();
    let left = get::<Option<i64>>(&row, 2)?.unwrap_or_default();
    Ok(StoreError::Held { until: now.saturating_add(unsigned(left)), holder })
}

pub(crate) async fn renew(pool: &Pool, lease: &Lease, ttl: Millis, now: Millis) -> StoreResult<Lease> {
    let renew = pool.sql(RENEW).bind(lease.agent.as_str()).bind(i64::from(lease.epoch.0));
    let row = pool.row(renew.bind(signed(ttl.min(TTL_MAX)))).await?;
    in_force(lease, row.map(|row| get::<Option<i64>>(&row, 0)).transpose()?.flatten())?;
    Ok(Lease { expires: now.saturating_add(ttl), ..lease.clone() })
}

pub(crate) async fn release(pool: &Pool, lease: &Lease, clean: bool) -> StoreResult<()> {
    let release = pool.sql(RELEASE).bind(lease.agent.as_str()).bind(i64::from(lease.epoch.0)).bind(clean);
    pool.rows(release).await.map(drop)
}

pub(crate) async fn holder(pool: &Pool, agent: &AgentId, now: Millis) -> StoreResult<Option<Holder>> {
    let Some(row) = pool.row(pool.sql(HELD_BY).bind(agent.as_str())).await? else { return Ok(None) };
    let expires = now.saturating_add(unsigned(get(&row, 2)?));
    Ok(Some(Holder { holder: get(&row, 0)?, epoch: epoch(get(&row, 1)?), expires }))
}

pub(crate) async fn unfinished(pool: &Pool) -> StoreResult<Vec<AgentId>> {
    ids(&pool.rows(pool.sql(UNFINISHED)).await?)
}

pub(crate) async fn abandoned(pool: &Pool) -> StoreResult<Vec<Abandoned>> {
    let rows = pool.rows(pool.sql(ABANDONED)).await?;
    let heads = rows.iter().map(|row| {
        let [seq, last, cursor]: [i64; 3] = [get(row, 1)?, get(row, 2)?, get(row, 3)?];
        Ok(Head { seq: Seq(unsigned(seq)), epoch: epoch(last), cursor: Cursor(unsigned(cursor)) })
    });
    let heads: Vec<Head> = heads.collect::<StoreResult<_>>()?;
    Ok(ids(&rows)?.into_iter().zip(heads).map(|(agent, head)| Abandoned { agent, head }).collect())
}
