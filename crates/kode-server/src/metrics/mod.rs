//! What the server counts: Prometheus text at `/metrics`, without any name of an agent, a user or a key.
//!
//! Where a number comes from inside, it is taken where all of it goes by already: facts at the store ([`facts`]),
//! requests at the model ([`model`]), work directories at the sandbox. So the core counts nothing, and a number is
//! of what is durable. It is a registry of our own, not the `metrics` façade: that is one recorder for a whole
//! process, in which two servers, as tests have them, would count as one.

mod facts;
mod model;
mod registry;
mod sandbox;
mod scrape;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use kode_core::model::Model;
use kode_core::sandbox::SandboxFactory;
use kode_core::store::Store;

use self::registry::{Counter, Histogram};
pub(crate) use self::scrape::OpenStream;

/// Seconds of things that take from a tenth of a millisecond to ten seconds.
const QUICK: &[f64] = &[0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 10.0];
/// Seconds of what models take, as the GenAI conventions of OpenTelemetry have them.
const SLOW: &[f64] =
    &[0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
/// Tokens of one request or answer, likewise.
const TOKENS: &[f64] =
    &[1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0];
/// What tells model calls apart, likewise.
const GEN_AI: &[&str] = &["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"];

/// The counts of one server. Handed to [`crate::ServerConfig`], and around the ports of the runtime that it serves.
pub struct Metrics {
    requests: Counter,
    request_seconds: Histogram,
    streams: AtomicUsize,
    slow_readers: Counter,
    turns: Counter,
    steps: Counter,
    tool_calls: Counter,
    tool_seconds: Histogram,
    model_attempts: Counter,
    tokens: Counter,
    cost: Counter,
    approvals_requested: Counter,
    approvals_decided: Counter,
    agents_created: Counter,
    wake_ups: Counter,
    jobs: Counter,
    appends: Counter,
    append_seconds: Histogram,
    store_errors: Counter,
    sandbox_starts: Counter,
    gen_ai_seconds: Histogram,
    gen_ai_first_seconds: Histogram,
    gen_ai_tokens: Histogram,
}

impl Metrics {
    /// Nothing was counted yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The store, with what goes through it counted.
    #[must_use]
    pub fn store(self: &Arc<Self>, store: Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(facts::CountedStore::new(store, self.clone()))
    }

    /// The model, with what it is asked counted.
    #[must_use]
    pub fn model(self: &Arc<Self>, model: Arc<dyn Model>) -> Arc<dyn Model> {
        Arc::new(model::CountedModel::new(model, self.clone()))
    }

    /// The sandboxes, with those that are opened counted.
    #[must_use]
    pub fn sandboxes(self: &Arc<Self>, sandboxes: Arc<dyn SandboxFactory>) -> Arc<dyn SandboxFactory> {
        Arc::new(sandbox::CountedSandboxes::new(sandboxes, self.clone()))
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Counter::new(
                "kode_http_requests_total",
                "Requests that were answered.",
                &["method", "route", "status"],
            ),
            request_seconds: Histogram::new(
                "kode_http_request_seconds",
                "From a request's head to that of its answer.",
                &["route"],
                QUICK,
            ),
            streams: AtomicUsize::new(0),
            slow_readers: Counter::new(
                "kode_slow_readers_total",
                "Connections cut because their peer did not read.",
                &[],
            ),
            turns: Counter::new("kode_turns_total", "Turns that ended, by how.", &["reason"]),
            steps: Counter::new("kode_steps_total", "Rounds of model and tools that ended.", &[]),
            tool_calls: Counter::new(
                "kode_tool_calls_total",
                "Tool calls that ended, by what became of them.",
                &["tool", "outcome"],
            ),
            tool_seconds: Histogram::new(
                "kode_tool_seconds",
                "From a tool's start to its end.",
                &["tool"],
                SLOW,
            ),
            model_attempts: Counter::new(
                "kode_model_attempts_total",
                "Requests to a model, by the code of their error; ok, or stopped.",
                &["provider", "model", "outcome"],
            ),
            tokens: Counter::new(
                "kode_tokens_total",
                "Tokens that the provider reported, by kind; cached ones are among the input, reasoning among the output.",
                &["kind"],
            ),
            cost: Counter::new(
                "kode_cost_micros_total",
                "What answers cost by the configured prices, in millionths of the currency's unit.",
                &[],
            ),
            approvals_requested: Counter::new(
                "kode_approvals_requested_total",
                "Calls that a person was asked about.",
                &[],
            ),
            approvals_decided: Counter::new(
                "kode_approvals_decided_total",
                "Calls that were decided.",
                &["decision"],
            ),
            agents_created: Counter::new(
                "kode_agents_created_total",
                "Agents that were made, forks among them.",
                &[],
            ),
            wake_ups: Counter::new(
                "kode_agent_wake_ups_total",
                "Agents that were taken up again out of the store.",
                &[],
            ),
            jobs: Counter::new("kode_background_jobs_total", "Background jobs that began.", &[]),
            appends: Counter::new(
                "kode_store_appends_total",
                "Batches that were written to journals.",
                &["grade"],
            ),
            append_seconds: Histogram::new(
                "kode_store_append_seconds",
                "How long it took to write a batch.",
                &["grade"],
                QUICK,
            ),
            store_errors: Counter::new(
                "kode_store_errors_total",
                "What the store refused, by what and why.",
                &["operation", "kind"],
            ),
            sandbox_starts: Counter::new(
                "kode_sandbox_starts_total",
                "Work directories that were opened for agents.",
                &["outcome"],
            ),
            gen_ai_seconds: Histogram::new(
                "gen_ai_client_operation_duration_seconds",
                "How long requests to models took.",
                &["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "error_type"],
                SLOW,
            ),
            gen_ai_first_seconds: Histogram::new(
                "gen_ai_client_operation_time_to_first_chunk_seconds",
                "How long models took to their first word.",
                GEN_AI,
                SLOW,
            ),
            gen_ai_tokens: Histogram::new(
                "gen_ai_client_token_usage",
                "Tokens of one request, and of its answer.",
                &[
                    "gen_ai_operation_name",
                    "gen_ai_provider_name",
                    "gen_ai_request_model",
                    "gen_ai_token_type",
                ],
                TOKENS,
            ),
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
