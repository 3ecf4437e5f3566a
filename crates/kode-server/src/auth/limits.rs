//! How much the holder of a key may do. Checked before anything is made or a model is asked.
//!
//! What is counted where: agents and tokens in the store, so over restarts and for all nodes; runs and requests in
//! this process alone.

use std::collections::HashMap;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::sync::{Arc, Mutex, PoisonError};

use kode_core::id::AgentId;
use kode_core::store::counters::Day;
use kode_pool::Pool;
use serde::Deserialize;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

use crate::auth::{ApiKey, Caller, tally};
use crate::error::ApiError;

const MINUTE: f64 = 60.0;
/// Seconds after which a run may be over.
const RUN_SECS: u32 = 5;
/// Seconds after which someone may have deleted an agent.
const AGENT_SECS: u32 = 60;

/// Limits of one key; what is absent is not limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests, evenly over time; a minute's worth may come at once.
    pub requests_per_minute: Option<NonZeroU32>,
    /// Agents under the key's prefixes, beyond which it makes no new one.
    pub agents: Option<NonZeroUsize>,
    /// Agents under the key's prefixes that are at work, beyond which it starts no other. Those that wait for a
    /// person are not at work.
    pub runs: Option<NonZeroUsize>,
    /// Tokens that agents under the key's prefixes may spend in a day, in UTC, beyond which it starts no run.
    pub tokens_per_day: Option<NonZeroU64>,
}

/// The counts of all keys, by their names.
#[derive(Default)]
pub(super) struct Meters(Mutex<HashMap<String, Arc<Meter>>>);

/// The counts of one key.
pub(crate) struct Meter {
    limits: Limits,
    bucket: Mutex<Bucket>,
    /// Held from the look at a count to what changes it, so that two do not take the same last place.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// Held while a caller makes or starts something.
#[must_use]
pub(crate) struct Turn(#[expect(dead_code, reason = "held, not read")] Option<OwnedMutexGuard<()>>);

impl Meters {
    /// Of this key. Counts begin anew where its limits changed.
    pub(super) fn of(&self, key: &ApiKey) -> Arc<Meter> {
        let mut meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match meters.get(&key.name).filter(|meter| meter.limits == key.limits) {
            Some(meter) => meter.clone(),
            None => {
                let meter = Arc::new(Meter::new(key.limits));
                meters.insert(key.name.clone(), meter.clone());
                meter
            }
        }
    }
}

impl Meter {
    fn new(limits: Limits) -> Self {
        let bucket = Mutex::new(Bucket::full(limits.requests_per_minute));
        Self { limits, bucket, turn: Arc::default() }
    }

    /// One more request.
    pub(super) fn request(&self) -> Result<(), ApiError> {
        let Some(limit) = self.limits.requests_per_minute else { return Ok(()) };
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.take(f64::from(limit.get())).map_err(|wait| {
            ApiError::too_many("rate_limited", format!("this key has {limit} requests a minute"), wait)
        })
    }
}

/// Tokens that flow in evenly.
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn full(limit: Option<NonZeroU32>) -> Self {
        Self { tokens: limit.map_or(0.0, |limit| f64::from(limit.get())), at: Instant::now() }
    }

    /// Takes one, or says in how many seconds there is one.
    fn take(&mut self, per_minute: f64) -> Result<(), u32> {
        let now = Instant::now();
        let flown = now.duration_since(self.at).as_secs_f64() * per_minute / MINUTE;
        (self.tokens, self.at) = ((self.tokens + flown).min(per_minute), now);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        let wait = ((1.0 - self.tokens) * MINUTE / per_minute).ceil();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 60")]
        Err((wait as u32).max(1))
    }
}

impl Caller {
    /// Before an agent is sent something: it may have to be made, and it may begin to work.
    pub(crate) async fn may_run(&self, pool: &Pool, id: &AgentId) -> Result<Turn, ApiError> {
        self.has_tokens(pool).await?;
        let Some((limits, turn)) = self.turn().await else { return Ok(Turn(None)) };
        match pool.look(id).await? {
            None => {
                self.has_room(pool, limits).await?;
                self.has_breath(pool, limits)?;
            }
            Some(view) if view.is_settled() => self.has_breath(pool, limits)?,
            // It is at work already: one more message starts no other.
            Some(_) => {}
        }
        Ok(turn)
    }

    /// Before an agent is made, unless there is one of that name.
    pub(crate) async fn may_make(&self, pool: &Pool, id: &AgentId) -> Result<Turn, ApiError> {
        let Some((limits, turn)) = self.turn().await else { return Ok(Turn(None)) };
        if pool.look(id).await?.is_none() {
            self.has_room(pool, limits).await?;
        }
        Ok(turn)
    }

    async fn turn(&self) -> Option<(Limits, Turn)> {
        let meter = self.meter()?;
        let counted = meter.limits.agents.is_some() || meter.limits.runs.is_some();
        let turn = counted.then(|| meter.turn.clone())?.lock_owned().await;
        Some((meter.limits, Turn(Some(turn))))
    }

    async fn has_room(&self, pool: &Pool, limits: Limits) -> Result<(), ApiError> {
        let Some(most) = limits.agents.map(NonZeroUsize::get) else { return Ok(()) };
        if pool.count(&self.reach().within(""), most).await? < most {
            return Ok(());
        }
        let message = format!("this key has {most} agents, and there are as many; delete one first");
        Err(ApiError::too_many("too_many_agents", message, AGENT_SECS))
    }

    /// Also before one more message to a run under way: it makes the run longer.
    async fn has_tokens(&self, pool: &Pool) -> Result<(), ApiError> {
        let most = self.meter().and_then(|meter| meter.limits.tokens_per_day);
        let Some(most) = most.map(NonZeroU64::get) else { return Ok(()) };
        let now = pool.runtime().clock().now();
        let Some(counters) = pool.runtime().store().counters() else {
            let message = "this server's store keeps no counts, so the limit of tokens cannot be kept to";
            return Err(ApiError::unavailable("store_unavailable", message, AGENT_SECS));
        };
        if counters.count(&tally::name(self.name()), Day::of(now)).await? < most {
            return Ok(());
        }
        let message =
            format!("this key has {most} tokens a day, and they are spent; the day ends at 00:00 UTC");
        let wait = u32::try_from(Day::left(now).div_ceil(1_000)).unwrap_or(u32::MAX);
        Err(ApiError::too_many("tokens_spent", message, wait))
    }

    fn has_breath(&self, pool: &Pool, limits: Limits) -> Result<(), ApiError> {
        let Some(most) = limits.runs.map(NonZeroUsize::get) else { return Ok(()) };
        if pool.running(&self.reach().within("")) < most {
            return Ok(());
        }
        let message = format!("this key has {most} runs at once, and as many are under way");
        Err(ApiError::too_many("too_many_runs", message, RUN_SECS))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_minutes_worth_comes_at_once_and_then_as_it_flows() {
        let limits = Limits { requests_per_minute: NonZeroU32::new(2), ..Limits::default() };
        let meter = Meter::new(limits);
        let waits = || meter.request().err().and_then(|refused| refused.retry_after);
        assert_eq!((waits(), waits(), waits()), (None, None, Some(30)));
        tokio::time::advance(Duration::from_secs(29)).await;
        assert_eq!(waits(), Some(1));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!((waits(), waits()), (None, Some(30)));
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert_eq!((waits(), waits(), waits()), (None, None, Some(30)), "no more than a minute's is saved");
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_is_read_again_goes_on_counting() {
        let limits = Limits { requests_per_minute: NonZeroU32::new(1), ..Limits::default() };
        let key = ApiKey {
            name: "k".into(),
            hash: crate::auth::KeyHash::of("x"),
            reach: crate::auth::Reach::all(),
            rights: crate::auth::Rights::default(),
            limits,
        };
        let meters = Meters::default();
        meters.of(&key).request().unwrap();
        assert!(meters.of(&key.clone()).request().is_err());
    }
}
