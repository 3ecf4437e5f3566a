//! What keys spend: a store around another that adds the tokens of each answer to the counts of the keys that reach
//! its agent. Only keys with a limit of tokens are counted.

use std::sync::Arc;

use async_trait::async_trait;
use kode_core::fact::{Entry, Fact};
use kode_core::id::Seq;
use kode_core::store::counters::Day;
use kode_core::store::decorate::Decorator;
use kode_core::store::{Durability, Lease, Store, StoreResult};

use crate::auth::Auth;

/// The count of a key's tokens; other counts of the store have other names.
pub(super) fn name(key: &str) -> String {
    format!("tokens/{key}")
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
        let spent: u64 = entries.iter().map(|entry| tokens(&entry.fact)).sum();
        let (Some(last), true) = (entries.last(), spent > 0) else { return };
        for key in self.auth.keys().iter() {
            if key.limits.tokens_per_day.is_none() || !key.reach.reaches(&lease.agent) {
                continue;
            }
            let Some(counters) = self.inner.counters() else { return };
            if let Err(error) = counters.add(&name(&key.name), Day::of(last.at), spent).await {
                tracing::error!(key = key.name, spent, %error, "tokens were spent that are not counted");
            }
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

/// The tokens that a fact says were spent.
fn tokens(fact: &Fact) -> u64 {
    let usage = match fact {
        Fact::ModelAnswered { usage, .. } | Fact::CompactionFailed { usage, .. } => usage,
        Fact::Compacted(compacted) => &compacted.usage,
        _ => return 0,
    };
    usage.total_tokens.max(usage.input_tokens.saturating_add(usage.output_tokens))
}
