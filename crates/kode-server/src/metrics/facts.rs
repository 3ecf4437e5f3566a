//! The store, counted: how long it takes, what it refuses, and what the facts say that it takes.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use kode_core::call::{Call, Decision};
use kode_core::fact::{Entry, Fact};
use kode_core::id::Seq;
use kode_core::message::Usage;
use kode_core::store::decorate::Decorator;
use kode_core::store::{Durability, Lease, Store, StoreError, StoreResult};

use crate::metrics::Metrics;

pub(super) struct CountedStore {
    inner: Arc<dyn Store>,
    metrics: Arc<Metrics>,
}

impl CountedStore {
    pub(super) fn new(inner: Arc<dyn Store>, metrics: Arc<Metrics>) -> Self {
        Self { inner, metrics }
    }

    fn refused(&self, operation: &str, error: &StoreError) {
        self.metrics.store_errors.add(&[operation, kind(error)], 1);
    }
}

#[async_trait]
impl Decorator for CountedStore {
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
        let began = Instant::now();
        let done = self.inner.append(lease, expected, entries, grade).await;
        let name = match grade {
            Durability::Buffered => "buffered",
            Durability::Synced => "synced",
        };
        match &done {
            Ok(()) => {
                self.metrics.appends.add(&[name], 1);
                self.metrics.append_seconds.saw(&[name], began.elapsed().as_secs_f64());
                entries.iter().for_each(|entry| self.metrics.fact(&entry.fact));
            }
            Err(error) => self.refused("append", error),
        }
        done
    }

    async fn acquire(
        &self,
        agent: &kode_core::id::AgentId,
        holder: &str,
        ttl: kode_core::id::Millis,
        now: kode_core::id::Millis,
    ) -> StoreResult<Lease> {
        self.inner.acquire(agent, holder, ttl, now).await.inspect_err(|error| self.refused("acquire", error))
    }

    async fn renew(
        &self,
        lease: &Lease,
        ttl: kode_core::id::Millis,
        now: kode_core::id::Millis,
    ) -> StoreResult<Lease> {
        self.inner.renew(lease, ttl, now).await.inspect_err(|error| self.refused("renew", error))
    }

    async fn read(
        &self,
        agent: &kode_core::id::AgentId,
        after: kode_core::store::After,
        limit: usize,
    ) -> StoreResult<Vec<Entry>> {
        self.inner.read(agent, after, limit).await.inspect_err(|error| self.refused("read", error))
    }
}

fn kind(error: &StoreError) -> &'static str {
    match error {
        StoreError::Conflict { .. } => "conflict",
        StoreError::Fenced { .. } => "fenced",
        StoreError::Held { .. } => "held",
        StoreError::Damaged(_) => "damaged",
        StoreError::Full(_) => "full",
        StoreError::Unavailable(_) => "unavailable",
        StoreError::Incompatible(_) => "incompatible",
    }
}

impl Metrics {
    /// Something happened, and is durable.
    fn fact(&self, fact: &Fact) {
        match fact {
            Fact::Opened { resumed: true, .. } => self.wake_ups.add(&[], 1),
            Fact::Created { .. } | Fact::Forked { .. } => self.agents_created.add(&[], 1),
            Fact::ModelAnswered { usage, .. } | Fact::CompactionFailed { usage, .. } => self.spent(*usage),
            Fact::Compacted(compacted) => self.spent(compacted.usage),
            Fact::ApprovalsRequested { calls, .. } => self.approvals_requested.add(&[], calls.len() as u64),
            Fact::PermissionDecided { decision, .. } => {
                let decision = match decision {
                    Decision::Allow => "allow",
                    Decision::Deny => "deny",
                };
                self.approvals_decided.add(&[decision], 1);
            }
            Fact::ToolEnded { call, .. } => self.called(call),
            Fact::JobStarted(_) => self.jobs.add(&[], 1),
            Fact::StepEnded { .. } => self.steps.add(&[], 1),
            Fact::TurnEnded { reason, .. } => {
                self.turns.add(&[reason.name()], 1);
            }
            _ => {}
        }
    }

    fn called(&self, call: &Call) {
        self.tool_calls.add(&[&call.name, call.state.outcome()], 1);
        if let Some(took) = call.duration_ms {
            #[expect(clippy::cast_precision_loss, reason = "no call takes so long that it would show")]
            self.tool_seconds.saw(&[&call.name], took as f64 / 1_000.0);
        }
    }

    fn spent(&self, usage: Usage) {
        self.cost.add(&[], usage.cost_micros);
        let kinds = [
            ("input", usage.input_tokens),
            ("output", usage.output_tokens),
            ("cached", usage.cached_tokens),
            ("reasoning", usage.reasoning_tokens),
        ];
        for (kind, tokens) in kinds {
            self.tokens.add(&[kind], tokens);
        }
    }
}
