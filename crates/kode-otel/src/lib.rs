//! OpenTelemetry for kode: what agents do as traces and metrics, sent to a collector.
//!
#![doc = include_str!("../README.md")]

mod config;
mod export;
mod model;
mod names;
mod request;
mod turns;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use kode_core::model::Model;
use kode_core::store::Store;

pub use config::{OtelConfig, OtelError};
pub use request::{RequestSpan, RequestStart};

use crate::export::Providers;
use crate::turns::Turns;

/// Writes down what goes through the ports that it is put around. Clones are handles on the same.
#[derive(Debug, Clone)]
pub struct Otel {
    providers: Providers,
    turns: Arc<Turns>,
}

impl Otel {
    /// Begins to send. Call it within the runtime whose tasks may send.
    ///
    /// # Errors
    /// What is wrong with the configuration. A collector that is away is no error: what it does not take is dropped.
    pub fn start(config: &OtelConfig) -> Result<Self, OtelError> {
        Ok(Self::over(Providers::start(config)?, config.show_agents))
    }

    fn over(providers: Providers, show_agents: bool) -> Self {
        let turns = Arc::new(Turns::new(providers.tracer(), show_agents));
        Self { providers, turns }
    }

    /// The store, with the turns and tool runs that go through it written down.
    #[must_use]
    pub fn store(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(turns::TracedStore::new(store, self.turns.clone()))
    }

    /// The model, with each request to it written down.
    #[must_use]
    pub fn model(&self, model: Arc<dyn Model>) -> Arc<dyn Model> {
        self.turns.provider(model.provider());
        Arc::new(model::TracedModel::new(model, self.providers.clone(), self.turns.clone()))
    }

    /// The span of a request to a server.
    #[must_use]
    pub fn request(&self, start: &RequestStart<'_>) -> RequestSpan {
        RequestSpan::begin(&self.providers.tracer(), start)
    }

    /// Ends what is under way and sends what is left, for at most this long.
    pub async fn shutdown(self, grace: Duration) {
        self.turns.forget();
        self.providers.shutdown(grace).await;
    }
}
