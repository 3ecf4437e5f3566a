//! What keys spend: a store around another that adds what each answer cost to the counts of the keys that reach its
//! agent, and what these counts are.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join_all;
use kode_core::fact::{Entry, Fact};
use kode_core::id::Seq;
use kode_core::message::Usage;
use kode_core::store::counters::{Counters, Day};
use kode_core::store::decorate::Decorator;
use kode_core::store::{Durability, Lease, Store, StoreResult};
use kode_pool::Pool;

use crate::auth::{ApiKey, Auth, Caller, Right};
use crate::error::ApiError;
use crate::shape::{DaySpent, KeySpent};

/// Seconds after which a store may keep counts.
const COUNTS_SECS: u32 = 60;

/// The count of a key's tokens; other counts of the store have other names.
pub(super) fn name(key: &str) -> String {
    format!("tokens/{key}")
}

/// The count of what they cost.
fn cost_name(key: &str) -> String {
    format!("cost/{key}")
}

pub(super) struct Tally {
    inner: Arc<dyn Store>,
    auth: Auth,
}

impl Tally {
    pub(super) fn new(inner: Arc<dyn Store>, auth: Auth) -> Self {
        Self { inner, auth }
    }

    /// Adds what was spent. An answer that is in the journal stays there whether or not it could be counted.
    async fn add(&self, lease: &Lease, entries: &[Entry]) {
        let mut spent = Usage::default();
        entries.iter().filter_map(|entry| usage(&entry.fact)).for_each(|usage| spent += whole(usage));
        let (Some(last), true) = (entries.last(), spent != Usage::default()) else { return };
        let Some(counters) = self.inner.counters() else { return };
        let (keys, day) = (self.auth.keys(), Day::of(last.at));
        let reaching = keys.iter().filter(|key| key.reach.reaches(&lease.agent));
        join_all(reaching.map(|key| count(counters, key, day, spent))).await;
    }
}

async fn count(counters: &dyn Counters, key: &ApiKey, day: Day, spent: Usage) {
    for (name, n) in [(name(&key.name), spent.total_tokens), (cost_name(&key.name), spent.cost_micros)] {
        if n == 0 {
            continue;
        }
        if let Err(error) = counters.add(&name, day, n).await {
            tracing::error!(count = name, spent = n, %error, "something was spent that is not counted");
        }
    }
}

#[async_trait]
impl Decorator for Tally {
    fn inner(&self) -> &dyn Store {
        &*self.inner
    }

    async fn append(
        &self,
        lease: &Lease,
        expected: Seq,
        entries: &[Entry],
        grade: Durability,
    ) -> StoreResult<()> {
        self.inner.append(lease, expected, entries, grade).await?;
        self.add(lease, entries).await;
        Ok(())
    }
}

impl Auth {
    /// What keys have spent today and yesterday: all of them for an administrator, a caller's own for others.
    pub(crate) async fn spent(&self, pool: &Pool, caller: &Caller) -> Result<Vec<DaySpent>, ApiError> {
        let Some(counters) = pool.runtime().store().counters() else {
            let message = "this server's store keeps no counts, so what keys spend is not known";
            return Err(ApiError::unavailable("store_unavailable", message, COUNTS_SECS));
        };
        let today = Day::of(pool.runtime().clock().now());
        let keys = self.keys();
        let mut days = Vec::new();
        for day in [Some(today), today.0.checked_sub(1).map(Day)].into_iter().flatten() {
            let mut spent = Vec::new();
            for key in keys.iter().filter(|key| caller.rights().has(Right::Admin) || caller.is(key)) {
                let (tokens, cost_micros) = (
                    counters.count(&name(&key.name), day).await?,
                    counters.count(&cost_name(&key.name), day).await?,
                );
                spent.push(KeySpent { name: key.name.clone(), tokens, cost_micros });
            }
            days.push(DaySpent::of(day, spent));
        }
        Ok(days)
    }
}

/// What a fact says was spent.
fn usage(fact: &Fact) -> Option<Usage> {
    match fact {
        Fact::ModelAnswered { usage, .. } | Fact::CompactionFailed { usage, .. } => Some(*usage),
        Fact::Compacted(compacted) => Some(compacted.usage),
        _ => None,
    }
}

/// With all tokens in the total, whatever the provider's sum of them is.
fn whole(usage: Usage) -> Usage {
    let both = usage.input_tokens.saturating_add(usage.output_tokens);
    Usage { total_tokens: usage.total_tokens.max(both), ..usage }
}
