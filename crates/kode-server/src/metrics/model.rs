//! The model, counted: each attempt once, whatever becomes of it.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use futures_util::StreamExt;
use kode_core::message::Usage;
use kode_core::model::{Model, ModelError, ModelEvent, ModelRequest, ModelStream};

use crate::metrics::Metrics;

/// What is asked of a model here, in the words of the GenAI conventions.
const CHAT: &str = "chat";
/// An attempt that was given up before its end.
const STOPPED: &str = "stopped";

pub(super) struct CountedModel {
    inner: Arc<dyn Model>,
    metrics: Arc<Metrics>,
}

impl CountedModel {
    pub(super) fn new(inner: Arc<dyn Model>, metrics: Arc<Metrics>) -> Self {
        Self { inner, metrics }
    }
}

#[async_trait]
impl Model for CountedModel {
    fn provider(&self) -> &str {
        self.inner.provider()
    }

    fn window(&self, model: &str) -> Option<u32> {
        self.inner.window(model)
    }

    async fn stream(&self, request: ModelRequest) -> Result<ModelStream, ModelError> {
        let mut attempt = Attempt {
            metrics: self.metrics.clone(),
            provider: self.inner.provider().to_owned(),
            model: request.model.clone(),
            began: Instant::now(),
            is_first: true,
            outcome: STOPPED,
        };
        match self.inner.stream(request).await {
            Ok(stream) => Ok(stream.inspect(move |event| attempt.saw(event)).boxed()),
            Err(error) => {
                attempt.outcome = error.class.code();
                Err(error)
            }
        }
    }
}

/// One request; counted when it is dropped, at its end or before.
struct Attempt {
    metrics: Arc<Metrics>,
    provider: String,
    model: String,
    began: Instant,
    is_first: bool,
    outcome: &'static str,
}

impl Attempt {
    fn saw(&mut self, event: &Result<ModelEvent, ModelError>) {
        if matches!(event, Ok(ModelEvent::Began { .. })) {
            return;
        }
        if std::mem::take(&mut self.is_first) {
            let took = self.began.elapsed().as_secs_f64();
            self.metrics.gen_ai_first_seconds.saw(&[CHAT, &self.provider, &self.model], took);
        }
        match event {
            Ok(ModelEvent::Finished { usage, .. }) => {
                self.outcome = "ok";
                if let Some(usage) = usage {
                    self.spent(*usage);
                }
            }
            Ok(ModelEvent::Began { .. } | ModelEvent::Text(_) | ModelEvent::Thinking(_)) => {}
            Err(error) => self.outcome = error.class.code(),
        }
    }

    fn spent(&self, usage: Usage) {
        for (kind, tokens) in [("input", usage.input_tokens), ("output", usage.output_tokens)] {
            #[expect(clippy::cast_precision_loss, reason = "no request has so many that it would show")]
            self.metrics.gen_ai_tokens.saw(&[CHAT, &self.provider, &self.model, kind], tokens as f64);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.metrics.model_attempts.add(&[&self.provider, &self.model, self.outcome], 1);
        let error = if self.outcome == "ok" { "" } else { self.outcome };
        let took = self.began.elapsed().as_secs_f64();
        self.metrics.gen_ai_seconds.saw(&[CHAT, &self.provider, &self.model, error], took);
    }
}
