//! Spans of a server's requests, and the way between the W3C's header and the SDK's contexts.

use kode_core::trace::TraceParent;
use opentelemetry::trace::{
    Span, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId,
    TraceState,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, Span as SdkSpan};

use crate::names::{ERROR_TYPE, METHOD, REQUEST, ROUTE, STATUS};

/// What a request's span begins with.
#[derive(Debug, Clone, Copy)]
pub struct RequestStart<'a> {
    /// The request's method.
    pub method: &'a str,
    /// The template of its route.
    pub route: &'a str,
    /// Its id.
    pub id: &'a str,
    /// Where the caller stands in a trace, if it said so.
    pub parent: Option<&'a TraceParent>,
}

/// A request under way. Its span ends with this, at the latest.
#[derive(Debug)]
pub struct RequestSpan(SdkSpan);

impl RequestSpan {
    pub(crate) fn begin(tracer: &SdkTracer, start: &RequestStart<'_>) -> Self {
        let builder = SpanBuilder::from_name(format!("{} {}", start.method, start.route))
            .with_kind(SpanKind::Server)
            .with_attributes([
                KeyValue::new(METHOD, start.method.to_owned()),
                KeyValue::new(ROUTE, start.route.to_owned()),
                KeyValue::new(REQUEST, start.id.to_owned()),
            ]);
        Self(builder.start_with_context(tracer, &within(start.parent)))
    }

    /// The parent of what the request causes.
    #[must_use]
    pub fn here(&self) -> Option<TraceParent> {
        parent_of(self.0.span_context())
    }

    /// It was answered.
    pub fn end(mut self, status: u16) {
        self.0.set_attribute(KeyValue::new(STATUS, i64::from(status)));
        if status >= 500 {
            self.0.set_attribute(KeyValue::new(ERROR_TYPE, status.to_string()));
            self.0.set_status(Status::error(""));
        }
        self.0.end();
    }
}

/// The context of what a parent caused.
pub(crate) fn within(parent: Option<&TraceParent>) -> Context {
    match parent.and_then(context_of) {
        Some(parent) => Context::new().with_remote_span_context(parent),
        None => Context::new(),
    }
}

/// A parent as the SDK has it.
pub(crate) fn context_of(parent: &TraceParent) -> Option<SpanContext> {
    let trace = TraceId::from_hex(parent.trace_id()).ok()?;
    let span = SpanId::from_hex(parent.span_id()).ok()?;
    let flags = if parent.is_sampled() { TraceFlags::SAMPLED } else { TraceFlags::default() };
    Some(SpanContext::new(trace, span, flags, true, TraceState::default()))
}

fn parent_of(context: &SpanContext) -> Option<TraceParent> {
    let flags = context.trace_flags().to_u8();
    format!("00-{:032x}-{:016x}-{flags:02x}", context.trace_id(), context.span_id()).parse().ok()
}
