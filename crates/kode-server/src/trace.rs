//! Traces of requests: the port through which a host writes them down, and the header that leads from one to the next.
//!
//! What writes spans, and where they go, is the host's; without a [`Tracer`] nothing is looked at and nothing is kept.

use std::fmt;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use kode_core::trace::TraceParent;

use crate::app::App;

/// The header of the W3C's trace context.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Who writes down what requests were and how they ended.
pub trait Tracer: fmt::Debug + Send + Sync {
    /// A request came in.
    fn begin(&self, request: &TracedRequest<'_>) -> Box<dyn TracedSpan>;
}

/// What is told of a request: no path, query, header or body of the caller's.
#[derive(Debug, Clone, Copy)]
pub struct TracedRequest<'a> {
    /// Its method.
    pub method: &'a str,
    /// The template of its route, such as `/api/agents/{agentId}`.
    pub route: &'a str,
    /// Its id, as its answer and the log have it.
    pub id: &'a str,
    /// Where the caller stands in a trace, if it said so.
    pub parent: Option<&'a TraceParent>,
}

/// A request under way. Dropped before [`TracedSpan::end`], the caller went away.
pub trait TracedSpan: Send {
    /// The parent of what the request causes.
    fn here(&self) -> Option<TraceParent>;

    /// It was answered.
    fn end(self: Box<Self>, status: u16);
}

/// Begins the span of a request to the API, if somebody traces, and leaves it to what follows as its `traceparent`.
pub(crate) fn begin(
    app: &App,
    method: &str,
    route: Option<&str>,
    id: &str,
    headers: &mut HeaderMap,
) -> Option<Box<dyn TracedSpan>> {
    let tracer = app.config.tracer.as_ref()?;
    let route = route.filter(|route| route.starts_with("/api/"))?;
    let parent = parse(headers);
    let span = tracer.begin(&TracedRequest { method, route, id, parent: parent.as_ref() });
    let here = span.here().and_then(|here| HeaderValue::try_from(here.as_str()).ok());
    match here {
        Some(here) => drop(headers.insert(TRACEPARENT, here)),
        None => drop(headers.remove(TRACEPARENT)),
    }
    Some(span)
}

/// Where a request stands in a trace, for what it leaves behind.
pub(crate) fn of(app: &App, headers: &HeaderMap) -> Option<TraceParent> {
    app.config.tracer.as_ref().and_then(|_| parse(headers))
}

/// Two of them are none: which one it is cannot be known.
fn parse(headers: &HeaderMap) -> Option<TraceParent> {
    let mut told = headers.get_all(TRACEPARENT).iter();
    match (told.next(), told.next()) {
        (Some(only), None) => only.to_str().ok()?.parse().ok(),
        (_, _) => None,
    }
}
