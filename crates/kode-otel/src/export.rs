//! The SDK's providers, and the HTTP by which they send. What is sent never belongs here.
//!
//! The SDK batches in threads of its own: whoever ends a span puts it into a bounded queue, and what does not fit is
//! dropped. So a collector that is slow or away costs telemetry and nothing else.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry::metrics::{Histogram, MeterProvider};
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HttpClient, HttpError, ResponseBodyTooLarge};
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::config::{OtelConfig, OtelError};
use crate::names::{DURATION, FIRST_CHUNK, SCOPE, TOKEN_USAGE};

/// How long a collector may take for one batch.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most of an answer that is read.
const ANSWER_MAX: usize = 64 * 1024;

/// Bounds of the conventions, in seconds and in tokens.
const SECONDS: [f64; 14] =
    [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
const TOKENS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// What traces and counts, and who sends it.
#[derive(Debug, Clone)]
pub(crate) struct Providers {
    traces: SdkTracerProvider,
    meters: SdkMeterProvider,
    pub(crate) tokens: Histogram<u64>,
    pub(crate) seconds: Histogram<f64>,
    pub(crate) first_chunk: Histogram<f64>,
}

impl Providers {
    /// Sends to the configured addresses.
    pub(crate) fn start(config: &OtelConfig) -> Result<Self, OtelError> {
        let client = Client::new()?;
        let resource = resource();
        let mut traces = SdkTracerProvider::builder().with_resource(resource.clone());
        if let Some(endpoint) = &config.traces {
            let exporter = SpanExporter::builder().with_http().with_http_client(client.clone());
            traces = traces.with_batch_exporter(exporter.with_endpoint(endpoint).build().map_err(refused)?);
        }
        let mut meters = SdkMeterProvider::builder().with_resource(resource);
        if let Some(endpoint) = &config.metrics {
            let exporter = MetricExporter::builder().with_http().with_http_client(client);
            meters =
                meters.with_periodic_exporter(exporter.with_endpoint(endpoint).build().map_err(refused)?);
        }
        Ok(Self::of(traces.build(), meters.build()))
    }

    pub(crate) fn of(traces: SdkTracerProvider, meters: SdkMeterProvider) -> Self {
        let meter = meters.meter(SCOPE);
        let tokens = meter.u64_histogram(TOKEN_USAGE).with_unit("{token}").with_boundaries(TOKENS.to_vec());
        let timed = |name| meter.f64_histogram(name).with_unit("s").with_boundaries(SECONDS.to_vec());
        let (seconds, first_chunk) = (timed(DURATION), timed(FIRST_CHUNK));
        Self {
            tokens: tokens.with_description("Tokens of one request, and of its answer.").build(),
            seconds: seconds.with_description("How long requests to models took.").build(),
            first_chunk: first_chunk.with_description("How long models took to their first word.").build(),
            traces,
            meters,
        }
    }

    pub(crate) fn tracer(&self) -> SdkTracer {
        self.traces.tracer(SCOPE)
    }

    /// Sends what is left, for at most this long. What a collector has not taken by then is lost.
    pub(crate) async fn shutdown(self, grace: Duration) {
        let (traces, meters) = (self.traces, self.meters);
        let ends = [
            in_a_thread(move || traces.shutdown_with_timeout(grace).is_ok()),
            in_a_thread(move || meters.shutdown_with_timeout(grace).is_ok()),
        ];
        let all = futures_util::future::join_all(ends);
        let sent = tokio::time::timeout(grace, all).await;
        if !sent.is_ok_and(|ends| ends.into_iter().all(|end| end == Ok(true))) {
            tracing::warn!("the last traces and metrics were not taken by their collector");
        }
    }
}

/// The SDK waits in the thread that asks; one of a runtime's could keep the runtime from ending.
fn in_a_thread(work: impl FnOnce() -> bool + Send + 'static) -> oneshot::Receiver<bool> {
    let (done, waits) = oneshot::channel();
    std::thread::spawn(move || {
        // Nobody may wait any more.
        let _ = done.send(work());
    });
    waits
}

fn refused(error: impl std::fmt::Display) -> OtelError {
    OtelError::Exporting(error.to_string())
}

/// Who sends: named by `OTEL_SERVICE_NAME` or among `OTEL_RESOURCE_ATTRIBUTES`, `kode` where neither says.
fn resource() -> Resource {
    let told = Resource::builder().build();
    let name = opentelemetry::Key::from_static_str("service.name");
    let named =
        told.get(&name).map(|name| name.to_string()).filter(|name| !name.starts_with("unknown_service"));
    let service = named.unwrap_or_else(|| "kode".to_owned());
    Resource::builder().with_service_name(service).build()
}

/// HTTP for the SDK's threads, spoken by tasks of the runtime.
#[derive(Debug, Clone)]
struct Client {
    http: reqwest::Client,
    runtime: Handle,
}

impl Client {
    fn new() -> Result<Self, OtelError> {
        // No redirects: the headers may hold a key, which is for one address.
        let client = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
        Ok(Self { http: client.build().map_err(refused)?, runtime: Handle::current() })
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        self.runtime.spawn(send(self.http.clone(), request)).await?
    }
}

async fn send(http: reqwest::Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let (head, body) = request.into_parts();
    let sending = http.request(head.method, head.uri.to_string()).headers(head.headers).body(body);
    // Without the address: it may have a password in it.
    let mut answer = sending.send().await.map_err(reqwest::Error::without_url)?;
    let mut told = Response::builder().status(answer.status());
    if let Some(headers) = told.headers_mut() {
        headers.clone_from(answer.headers());
    }
    let mut whole = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
        if whole.len() + piece.len() > ANSWER_MAX {
            return Err(Box::new(ResponseBodyTooLarge::new()));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(told.body(Bytes::from(whole))?)
}
