//! Sandboxes, counted: how often one is opened.

use std::sync::Arc;

use async_trait::async_trait;
use kode_core::id::AgentId;
use kode_core::sandbox::{FileError, ForkFiles, SandboxFactory, SandboxReport, Workspace};
use kode_core::template::SandboxSpec;

use crate::metrics::Metrics;

pub(super) struct CountedSandboxes {
    inner: Arc<dyn SandboxFactory>,
    metrics: Arc<Metrics>,
}

impl CountedSandboxes {
    pub(super) fn new(inner: Arc<dyn SandboxFactory>, metrics: Arc<Metrics>) -> Self {
        Self { inner, metrics }
    }
}

#[async_trait]
impl SandboxFactory for CountedSandboxes {
    async fn open(&self, agent: &AgentId, spec: &SandboxSpec) -> Result<Arc<dyn Workspace>, FileError> {
        let opened = self.inner.open(agent, spec).await;
        self.metrics.sandbox_starts.add(&[if opened.is_ok() { "ok" } else { "failed" }], 1);
        opened
    }

    async fn prepare(&self, wishes: &SandboxSpec) {
        self.inner.prepare(wishes).await;
    }

    async fn remove(&self, agent: &AgentId) -> Result<(), FileError> {
        self.inner.remove(agent).await
    }

    fn report(&self) -> SandboxReport {
        self.inner.report()
    }

    fn forks(&self) -> Option<&dyn ForkFiles> {
        self.inner.forks()
    }
}
