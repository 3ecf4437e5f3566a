//! A collector's stand-in: takes OTLP over HTTP and shows what came.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::{HistogramDataPoint, metric::Data};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

/// One request to it.
#[derive(Clone)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// It answers everything with 200 and keeps it.
pub(crate) struct Collector {
    pub(crate) address: String,
    received: Arc<Mutex<Vec<Received>>>,
}

/// Attributes by name, as text.
pub(crate) type Attributes = BTreeMap<String, String>;

impl Collector {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let router = Router::new().fallback(take).with_state(received.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, received }
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// All spans, in the order in which they began.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let of = |body: &Bytes| ExportTraceServiceRequest::decode(body.clone()).unwrap().resource_spans;
        let bodies = self.at("/v1/traces");
        let scopes = bodies.iter().flat_map(of).flat_map(|resource| resource.scope_spans);
        let mut spans: Vec<Span> = scopes.flat_map(|scope| scope.spans).collect();
        spans.sort_by_key(|span| span.start_time_unix_nano);
        spans
    }

    /// What sent spans says of itself.
    pub(crate) fn resource(&self) -> Attributes {
        let first = self.at("/v1/traces").first().cloned().expect("spans were sent");
        let told = ExportTraceServiceRequest::decode(first).unwrap().resource_spans.remove(0);
        attributes(&told.resource.unwrap().attributes)
    }

    /// The points of a histogram as last told: their attributes, how often, and how much.
    pub(crate) fn histogram(&self, name: &str) -> Vec<(Attributes, u64, f64)> {
        let of = |body: &Bytes| ExportMetricsServiceRequest::decode(body.clone()).unwrap().resource_metrics;
        let bodies = self.at("/v1/metrics");
        let scopes = bodies.last().into_iter().flat_map(of).flat_map(|resource| resource.scope_metrics);
        let metrics = scopes.flat_map(|scope| scope.metrics).filter(|metric| metric.name == name);
        let points = metrics.flat_map(|metric| match metric.data {
            Some(Data::Histogram(histogram)) => histogram.data_points,
            other => panic!("{name} is no histogram: {other:?}"),
        });
        points
            .map(|point: HistogramDataPoint| {
                (attributes(&point.attributes), point.count, point.sum.unwrap_or_default())
            })
            .collect()
    }

    fn at(&self, path: &str) -> Vec<Bytes> {
        self.received().into_iter().filter(|received| received.path == path).map(|r| r.body).collect()
    }
}

async fn take(
    State(received): State<Arc<Mutex<Vec<Received>>>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    received.lock().unwrap().push(Received { path: uri.path().to_owned(), headers, body });
    StatusCode::OK
}

/// What a span says of itself.
pub(crate) fn attributes(told: &[KeyValue]) -> Attributes {
    told.iter().map(|pair| (pair.key.clone(), text(pair.value.as_ref()))).collect()
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(yes)) => yes.to_string(),
        Some(Value::ArrayValue(list)) => {
            let parts: Vec<String> = list.values.iter().map(|value| text(Some(value))).collect();
            format!("[{}]", parts.join(","))
        }
        other => format!("{other:?}"),
    }
}
