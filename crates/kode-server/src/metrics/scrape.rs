//! What is counted by the server itself, and the text of all of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use kode_pool::Pool;

use crate::metrics::Metrics;
use crate::metrics::registry::now;

/// A stream that is open; it is none any more when this is dropped.
pub(crate) struct OpenStream(Arc<Metrics>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    /// A stream was opened.
    pub(crate) fn stream(self: &Arc<Self>) -> OpenStream {
        self.streams.fetch_add(1, Ordering::Relaxed);
        OpenStream(self.clone())
    }

    /// A connection was cut because its peer did not read.
    pub(crate) fn slow_reader(&self) {
        self.slow_readers.add(&[], 1);
    }

    /// A request was answered. One whose path is no route has none: callers could make up any number of them.
    pub(crate) fn answered(&self, method: &Method, route: Option<&str>, status: StatusCode, took: Duration) {
        let route = route.unwrap_or("none");
        let method = match *method {
            Method::GET | Method::POST | Method::PUT | Method::DELETE | Method::HEAD | Method::OPTIONS => {
                method.as_str()
            }
            _ => "other",
        };
        self.requests.add(&[method, route, status.as_str()], 1);
        self.request_seconds.saw(&[route], took.as_secs_f64());
    }

    /// All of it, as Prometheus reads it.
    pub(crate) fn text(&self, pool: &Pool, uptime: Duration) -> String {
        let mut text = String::new();
        let stats = pool.stats();
        let gauges = [
            ("kode_agents_resident", "Agents in memory.", stats.resident),
            ("kode_agents_resident_max", "Most agents in memory.", stats.max),
            ("kode_agents_running", "Agents in memory with a run under way.", pool.running(&[""])),
            ("kode_approvals_pending", "Calls of agents in memory that wait for a person.", pool.asking()),
            ("kode_streams_open", "Streams of events that are open.", self.streams.load(Ordering::Relaxed)),
        ];
        for (name, help, value) in gauges {
            now(name, help, "gauge", value, &mut text);
        }
        now(
            "kode_agents_evicted_total",
            "Agents put away to make room.",
            "counter",
            stats.evicted,
            &mut text,
        );
        now("kode_uptime_seconds", "Since the server began.", "gauge", uptime.as_secs(), &mut text);
        let counters = [
            &self.requests,
            &self.slow_readers,
            &self.turns,
            &self.steps,
            &self.tool_calls,
            &self.model_attempts,
            &self.tokens,
            &self.cost,
            &self.approvals_requested,
            &self.approvals_decided,
            &self.agents_created,
            &self.wake_ups,
            &self.jobs,
            &self.appends,
            &self.store_errors,
            &self.sandbox_starts,
        ];
        counters.into_iter().for_each(|counter| counter.write(&mut text));
        let histograms = [
            &self.request_seconds,
            &self.tool_seconds,
            &self.append_seconds,
            &self.gen_ai_seconds,
            &self.gen_ai_first_seconds,
            &self.gen_ai_tokens,
        ];
        histograms.into_iter().for_each(|histogram| histogram.write(&mut text));
        text
    }
}
