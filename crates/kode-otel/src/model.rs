//! The model, traced: each attempt is a `chat` span below its agent's turn, and counts, whatever becomes of it.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use futures_util::StreamExt;
use kode_core::message::Usage;
use kode_core::model::{Finish, Model, ModelError, ModelEvent, ModelRequest, ModelStream};
use opentelemetry::trace::{Span, SpanBuilder, SpanKind, Status};
use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::{SdkTracer, Span as SdkSpan};

use crate::export::Providers;
use crate::names::{
    CHAT, CONVERSATION, ERROR_TYPE, FINISH_REASONS, OPERATION, PROVIDER, REQUEST_MAX_TOKENS, REQUEST_MODEL,
    RESPONSE_ID, RESPONSE_MODEL, TOKEN_TYPE,
};
use crate::turns::{Turns, spent};

pub(crate) struct TracedModel {
    inner: Arc<dyn Model>,
    providers: Providers,
    tracer: SdkTracer,
    turns: Arc<Turns>,
}

impl TracedModel {
    pub(crate) fn new(inner: Arc<dyn Model>, providers: Providers, turns: Arc<Turns>) -> Self {
        Self { inner, tracer: providers.tracer(), providers, turns }
    }

    fn begin(&self, request: &ModelRequest) -> Attempt {
        let place = self.turns.place_of(&request.user);
        let mut builder =
            SpanBuilder::from_name(format!("{CHAT} {}", request.model)).with_kind(SpanKind::Client);
        let mut attributes = vec![
            KeyValue::new(OPERATION, CHAT),
            KeyValue::new(PROVIDER, self.inner.provider().to_owned()),
            KeyValue::new(REQUEST_MODEL, request.model.clone()),
            KeyValue::new(REQUEST_MAX_TOKENS, i64::from(request.max_tokens)),
        ];
        attributes.extend(place.agent.map(|agent| KeyValue::new(CONVERSATION, agent)));
        builder = builder.with_attributes(attributes);
        Attempt {
            span: builder.start_with_context(&self.tracer, &place.context),
            providers: self.providers.clone(),
            labels: vec![
                KeyValue::new(OPERATION, CHAT),
                KeyValue::new(PROVIDER, self.inner.provider().to_owned()),
                KeyValue::new(REQUEST_MODEL, request.model.clone()),
            ],
            began: Instant::now(),
            spoke: false,
            error: None,
        }
    }
}

#[async_trait]
impl Model for TracedModel {
    fn provider(&self) -> &str {
        self.inner.provider()
    }

    fn window(&self, model: &str) -> Option<u32> {
        self.inner.window(model)
    }

    async fn stream(&self, request: ModelRequest) -> Result<ModelStream, ModelError> {
        let mut attempt = self.begin(&request);
        match self.inner.stream(request).await {
            Ok(stream) => Ok(stream.inspect(move |event| attempt.saw(event)).boxed()),
            Err(error) => {
                attempt.failed(&error);
                Err(error)
            }
        }
    }
}

/// One request. Its span ends when it is dropped, at its end or before.
struct Attempt {
    span: SdkSpan,
    providers: Providers,
    /// What tells its counts apart.
    labels: Vec<KeyValue>,
    began: Instant,
    spoke: bool,
    error: Option<&'static str>,
}

impl Attempt {
    fn saw(&mut self, event: &Result<ModelEvent, ModelError>) {
        match event {
            Ok(ModelEvent::Began { model, id }) => self.told(model.as_deref(), id.as_deref()),
            Ok(ModelEvent::Text(_) | ModelEvent::Thinking(_)) => self.spoken(),
            Ok(ModelEvent::Finished { finish, usage, .. }) => {
                self.spoken();
                self.finished(*finish, *usage);
            }
            Err(error) => self.failed(error),
        }
    }

    fn told(&mut self, model: Option<&str>, id: Option<&str>) {
        if let Some(model) = model {
            let model = KeyValue::new(RESPONSE_MODEL, model.to_owned());
            self.labels.push(model.clone());
            self.span.set_attribute(model);
        }
        if let Some(id) = id {
            self.span.set_attribute(KeyValue::new(RESPONSE_ID, id.to_owned()));
        }
    }

    /// The first word, or what stands for it.
    fn spoken(&mut self) {
        if !std::mem::replace(&mut self.spoke, true) {
            self.providers.first_chunk.record(self.began.elapsed().as_secs_f64(), &self.labels);
        }
    }

    fn finished(&mut self, finish: Finish, usage: Option<Usage>) {
        let reason = match finish {
            Finish::Stop => "stop",
            Finish::ToolCalls => "tool_calls",
            Finish::Length => "length",
        };
        let reasons = Value::Array(Array::String(vec![StringValue::from(reason)]));
        self.span.set_attribute(KeyValue::new(FINISH_REASONS, reasons));
        let Some(usage) = usage else { return };
        self.span.set_attributes(spent(usage));
        for (kind, tokens) in [("input", usage.input_tokens), ("output", usage.output_tokens)] {
            let labels: Vec<_> =
                self.labels.iter().cloned().chain([KeyValue::new(TOKEN_TYPE, kind)]).collect();
            self.providers.tokens.record(tokens, &labels);
        }
    }

    /// By its class alone: the provider's words may be about what was said.
    fn failed(&mut self, error: &ModelError) {
        let class = error.class.code();
        self.error = Some(class);
        self.span.set_attribute(KeyValue::new(ERROR_TYPE, class));
        self.span.set_status(Status::error(""));
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.labels.extend(self.error.map(|class| KeyValue::new(ERROR_TYPE, class)));
        self.providers.seconds.record(self.began.elapsed().as_secs_f64(), &self.labels);
        self.span.end();
    }
}
