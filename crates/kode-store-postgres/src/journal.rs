//! Entries: one statement compares the agent's row, moves it and inserts the batch.
//!
//! The row is locked first, so its values are those of now and not of the statement's snapshot; a writer that waited
//! for another sees what that one did. So there is nothing between the comparison and the insert, and a statement of
//! which the outcome is unknown is over, or fenced off, when the next lease is granted: that waits for the same row.

use kode_core::fact::Entry;
use kode_core::id::{AgentId, Cursor, Seq};
use kode_core::store::{After, Durability, Head, Lease, StoreError, StoreResult, check_batch};
use sqlx::postgres::PgRow;

use crate::agent_row::{epoch, get, in_force, signed, unsigned};
use crate::error::damaged;
use crate::pool::{Pool, Statement, Transaction};

/// What a commit waits for is a setting of the transaction, so that it is gone with it. A synced commit flushes the
/// server's one log up to itself, and the buffered ones of the agent come before it there: so it covers them.
const APPEND: &str = "
WITH head AS MATERIALIZED (
    SELECT seq, leased, epoch, leased = $2 AND seq = $3 AND coalesce($11 >= epoch, true) AS fits
    FROM {s}.agents WHERE id = $1 FOR UPDATE
), moved AS (
    UPDATE {s}.agents SET seq = coalesce($4, agents.seq), epoch = coalesce($5, agents.epoch), last_cursor = coalesce($6, last_cursor)
    FROM head WHERE agents.id = $1 AND head.fits
), added AS (
    INSERT INTO {s}.entries (agent, seq, first, told, body)
    SELECT $1, entry.seq, entry.seq, entry.told, entry.body
    FROM head, unnest($7::bigint[], $8::bigint[], $9::bytea[]) AS entry (seq, told, body)
    WHERE head.fits
)
SELECT seq, leased, epoch, CASE
    WHEN $10 THEN set_config('synchronous_commit', 'off', true)
    WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', true) END
FROM head";

const AFTER_SEQ: &str = "
SELECT first, seq, body FROM {s}.entries WHERE agent = $1 AND seq > $2 ORDER BY seq LIMIT $3";

const AFTER_CURSOR: &str = "
SELECT first, seq, body FROM {s}.entries WHERE agent = $1 AND seq >= (
    SELECT seq FROM {s}.entries WHERE agent = $1 AND told > $2 ORDER BY told LIMIT 1
) ORDER BY seq LIMIT $3";

const HEAD: &str = "SELECT seq, epoch, last_cursor FROM {s}.agents WHERE id = $1 AND alive";

/// The columns of entries.
#[derive(Default)]
pub(crate) struct Columns {
    pub(crate) seqs: Vec<i64>,
    pub(crate) told: Vec<Option<i64>>,
    pub(crate) bodies: Vec<Vec<u8>>,
}

impl Columns {
    pub(crate) fn of<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Self {
        let mut columns = Self::default();
        for entry in entries {
            columns.seqs.push(signed(entry.seq.0));
            columns.told.push(told(entry));
            let body = serde_json::to_vec(entry);
            columns.bodies.push(body.expect("entries have string keys and no failing serializer"));
        }
        columns
    }
}

/// The last cursor of an entry that tells an event.
pub(crate) fn told(entry: &Entry) -> Option<i64> {
    (entry.events > 0).then(|| signed(entry.last_cursor().0))
}

pub(crate) async fn append(
    pool: &Pool,
    lease: &Lease,
    expected: Seq,
    entries: &[Entry],
    grade: Durability,
) -> StoreResult<()> {
    match check_batch(entries, expected, lease.epoch) {
        Ok(()) => compare_and_add(pool, lease, expected, entries, grade).await,
        // What is wrong with the batch counts less than that its writer is no longer one, or elsewhere.
        Err(unfit) => {
            compare_and_add(pool, lease, expected, &[], Durability::Buffered).await?;
            Err(unfit)
        }
    }
}

async fn compare_and_add(
    pool: &Pool,
    lease: &Lease,
    expected: Seq,
    entries: &[Entry],
    grade: Durability,
) -> StoreResult<()> {
    let (columns, last) = (Columns::of(entries), entries.last());
    let statement = pool
        .sql(APPEND)
        .bind(lease.agent.as_str())
        .bind(i64::from(lease.epoch.0))
        .bind(signed(expected.0))
        .bind(last.map(|last| signed(last.seq.0)))
        .bind(last.map(|last| i64::from(last.epoch.0)))
        .bind(last.map(|last| signed(last.last_cursor().0)))
        .bind(columns.seqs)
        .bind(columns.told)
        .bind(columns.bodies)
        .bind(grade == Durability::Buffered)
        .bind(entries.first().map(|first| i64::from(first.epoch.0)));
    let Some(row) = pool.row(statement).await? else { return in_force(lease, None) };
    in_force(lease, get(&row, 1)?)?;
    let (actual, last) = (Seq(unsigned(get(&row, 0)?)), epoch(get(&row, 2)?));
    if actual != expected {
        return Err(StoreError::Conflict { expected, actual });
    }
    match entries.first() {
        Some(first) if first.epoch < last => Err(StoreError::Fenced { epoch: first.epoch, current: last }),
        Some(_) | None => Ok(()),
    }
}

pub(crate) async fn read(
    pool: &Pool,
    agent: &AgentId,
    after: After,
    limit: usize,
) -> StoreResult<Vec<Entry>> {
    let rows = pool.rows(page(pool, agent, after, limit)).await?;
    entries(agent, after, &rows)
}

/// The same within a transaction.
pub(crate) async fn read_in(
    transaction: &mut Transaction<'_>,
    pool: &Pool,
    agent: &AgentId,
    after: After,
    limit: usize,
) -> StoreResult<Vec<Entry>> {
    let rows = transaction.rows(page(pool, agent, after, limit)).await?;
    entries(agent, after, &rows)
}

fn page<'q>(pool: &Pool, agent: &'q AgentId, after: After, limit: usize) -> Statement<'q> {
    let (text, place) = match after {
        After::Seq(Seq(seq)) => (AFTER_SEQ, seq),
        After::Cursor(Cursor(cursor)) => (AFTER_CURSOR, cursor),
    };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    pool.sql(text).bind(agent.as_str()).bind(signed(place)).bind(limit)
}

/// The entries of rows, if they follow each other without a gap.
fn entries(agent: &AgentId, after: After, rows: &[PgRow]) -> StoreResult<Vec<Entry>> {
    let mut before = match after {
        After::Seq(seq) => Some(seq),
        After::Cursor(_) => None,
    };
    let mut entries = Vec::with_capacity(rows.len());
    for row in rows {
        let (first, seq) = (Seq(unsigned(get(row, 0)?)), Seq(unsigned(get(row, 1)?)));
        // The first one may stand for a run in which the place lies.
        let gap = before.is_some_and(|before| first > before.next());
        let overlap = !entries.is_empty() && before.is_some_and(|before| first <= before);
        if gap || overlap {
            let before = before.unwrap_or_default();
            return Err(damaged(
                agent,
                place(seq),
                format!("it begins at {first}, and {before} comes before it"),
            ));
        }
        entries.push(entry(agent, seq, get(row, 2)?)?);
        before = Some(seq);
    }
    Ok(entries)
}

fn entry(agent: &AgentId, seq: Seq, body: &[u8]) -> StoreResult<Entry> {
    let entry: Entry = serde_json::from_slice(body).map_err(|error| {
        if error.is_data() {
            StoreError::Incompatible(format!(
                "{agent}, {}: it is whole, but of a later version ({error}); use the version of kode that wrote it, \
                 or a later one",
                place(seq)
            ))
        } else {
            damaged(agent, place(seq), format!("its body is no JSON: {error}"))
        }
    })?;
    let told = entry.seq;
    if told == seq {
        Ok(entry)
    } else {
        Err(damaged(agent, place(seq), format!("its body is that of {told}")))
    }
}

/// Where an entry is, for a person.
fn place(seq: Seq) -> String {
    format!("table entries, seq {seq}")
}

pub(crate) async fn head(pool: &Pool, agent: &AgentId) -> StoreResult<Option<Head>> {
    let row = pool.row(pool.sql(HEAD).bind(agent.as_str())).await?;
    row.map(|row| head_of(&row)).transpose()
}

/// The same within a transaction.
pub(crate) async fn head_in(
    transaction: &mut Transaction<'_>,
    pool: &Pool,
    agent: &AgentId,
) -> StoreResult<Option<Head>> {
    let row = transaction.row(pool.sql(HEAD).bind(agent.as_str())).await?;
    row.map(|row| head_of(&row)).transpose()
}

fn head_of(row: &PgRow) -> StoreResult<Head> {
    Ok(Head {
        seq: Seq(unsigned(get(row, 0)?)),
        epoch: epoch(get(row, 1)?),
        cursor: Cursor(unsigned(get(row, 2)?)),
    })
}
