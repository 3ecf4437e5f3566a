//! Traces and metrics for a collector, where the environment names one: put around the ports, and nothing otherwise.

use std::sync::Arc;
use std::time::Duration;

use kode_core::model::Model;
use kode_core::store::Store;
use kode_core::trace::TraceParent;
use kode_otel::{Otel, OtelConfig, RequestSpan, RequestStart};
use kode_server::trace::{TracedRequest, TracedSpan, Tracer};

use crate::config::{Env, Settings};
use crate::failure::Failure;

/// Who writes down what agents do, if anybody does.
#[derive(Clone)]
pub(crate) struct Telemetry(Option<Otel>);

impl Telemetry {
    /// Begins to send where the environment says where to. It is called in the runtime whose tasks send.
    pub(crate) fn start(settings: &Settings, env: Env<'_>) -> Result<Self, Failure> {
        let Some(mut config) = OtelConfig::from_env(env).map_err(Failure::usage)? else {
            return Ok(Self(None));
        };
        config.show_agents = settings.otel_agent_ids;
        Ok(Self(Some(Otel::start(&config).map_err(Failure::usage)?)))
    }

    pub(crate) fn store(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        match &self.0 {
            Some(otel) => otel.store(store),
            None => store,
        }
    }

    pub(crate) fn model(&self, model: Arc<dyn Model>) -> Arc<dyn Model> {
        match &self.0 {
            Some(otel) => otel.model(model),
            None => model,
        }
    }

    /// For the server's requests.
    pub(crate) fn tracer(&self) -> Option<Arc<dyn Tracer>> {
        self.0.clone().map(|otel| Arc::new(Requests(otel)) as Arc<dyn Tracer>)
    }

    /// Sends what is left, for at most this long.
    pub(crate) async fn shutdown(self, grace: Duration) {
        if let Some(otel) = self.0 {
            otel.shutdown(grace).await;
        }
    }
}

#[derive(Debug)]
struct Requests(Otel);

impl Tracer for Requests {
    fn begin(&self, request: &TracedRequest<'_>) -> Box<dyn TracedSpan> {
        let &TracedRequest { method, route, id, parent } = request;
        Box::new(Request(self.0.request(&RequestStart { method, route, id, parent })))
    }
}

struct Request(RequestSpan);

impl TracedSpan for Request {
    fn here(&self) -> Option<TraceParent> {
        self.0.here()
    }

    fn end(self: Box<Self>, status: u16) {
        self.0.end(status);
    }
}
