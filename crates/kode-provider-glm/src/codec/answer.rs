//! One answer under way: what was said so far, and what it comes to in the end.

use std::collections::VecDeque;

use kode_core::message::Usage;
use kode_core::model::{ErrorClass, Finish, ModelError, ModelEvent};
use serde_json::Value;

use super::calls::Calls;
use super::chunk::{self, Chunk};

/// Longest name of a model or an answer that is told on, in bytes.
const NAME_MAX: usize = 200;

/// What the chunks so far add up to.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Whether it was told who answers.
    began: bool,
    generation: Option<String>,
    calls: Calls,
    /// Something other than white space was said.
    spoke: bool,
    finish: Option<String>,
    usage: Option<Usage>,
}

impl Answer {
    /// Takes one chunk and appends what it says: reasoning first, then text.
    ///
    /// # Errors
    /// [`ErrorClass::UpstreamInterrupted`] where the chunk belongs to another generation.
    pub(super) fn take(&mut self, chunk: Chunk, out: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
        self.same_generation(chunk.id.as_deref())?;
        self.begin(&chunk, out);
        self.usage = chunk::usage(&chunk.usage).or(self.usage);
        let Some(mut choice) = chunk.into_choice() else { return Ok(()) };
        let delta = choice.delta();
        self.say(ModelEvent::Thinking, delta.reasoning_content, out);
        let spoke = self.say(ModelEvent::Text, delta.content, out);
        self.spoke |= spoke;
        delta.tool_calls.into_iter().for_each(|call| self.calls.take(call));
        self.note_finish(choice.finish_reason);
        Ok(())
    }

    /// Tells who answers, if the first chunk says so: what comes later would not come first.
    fn begin(&mut self, chunk: &Chunk, out: &mut VecDeque<ModelEvent>) {
        let named = chunk.model.is_some() || chunk.id.is_some();
        if !std::mem::replace(&mut self.began, true) && named {
            let (model, id) = (chunk.model.as_deref().map(name), chunk.id.as_deref().map(name));
            out.push_back(ModelEvent::Began { model, id });
        }
    }

    fn same_generation(&mut self, id: Option<&str>) -> Result<(), ModelError> {
        match (&self.generation, id) {
            (_, None) => Ok(()),
            (None, Some(id)) => {
                self.generation = Some(id.to_owned());
                Ok(())
            }
            (Some(known), Some(id)) if known == id => Ok(()),
            (Some(_), Some(_)) => Err(ModelError::retryable(
                ErrorClass::UpstreamInterrupted,
                "the stream went over into another generation's",
            )),
        }
    }

    /// Tells a piece unless it is empty: an empty one rides beside the other kind and means nothing.
    fn say(&self, kind: fn(String) -> ModelEvent, told: Value, out: &mut VecDeque<ModelEvent>) -> bool {
        let text = chunk::text(told);
        let spoke = !text.trim().is_empty();
        if !text.is_empty() {
            out.push_back(kind(text));
        }
        spoke
    }

    /// The last finish counts, as older streams repeat one on every tool chunk; but no later word makes a
    /// failure undone.
    fn note_finish(&mut self, told: Option<String>) {
        if self.finish.as_deref().is_none_or(|known| failure(known).is_none()) {
            self.finish = told.or(self.finish.take());
        }
    }

    /// Whether a finish was seen.
    pub(super) fn has_finish(&self) -> bool {
        self.finish.is_some()
    }

    /// What the answer comes to. Call it at `[DONE]` or at the stream's end, never at the first finish.
    ///
    /// # Errors
    /// A cut, filtered, interrupted, overlong or empty answer.
    pub(super) fn end(self) -> Result<ModelEvent, ModelError> {
        let Some(told) = self.finish else { return Err(truncated()) };
        if let Some(error) = failure(&told) {
            return Err(error);
        }
        let calls = self.calls.finish()?;
        let finish = match told.as_str() {
            "length" => Finish::Length,
            _ if !calls.is_empty() => Finish::ToolCalls,
            _ if !self.spoke => return Err(empty()),
            "stop" | "tool_calls" => Finish::Stop,
            _ => {
                tracing::debug!(finish_reason = %told, "an unknown finish is taken as a stop");
                Finish::Stop
            }
        };
        Ok(ModelEvent::Finished { calls, finish, usage: self.usage })
    }
}

/// A provider's name of something, in bounds.
fn name(told: &str) -> String {
    told[..told.floor_char_boundary(NAME_MAX)].to_owned()
}

/// The failure that a finish stands for.
fn failure(finish: &str) -> Option<ModelError> {
    let error = match finish {
        "sensitive" | "content_filter" => {
            ModelError::fatal(ErrorClass::ContentFiltered, "the provider's content filter stopped the answer")
        }
        "network_error" => {
            ModelError::retryable(ErrorClass::UpstreamInterrupted, "the model broke off in mid-answer")
        }
        "model_context_window_exceeded" => ModelError::fatal(
            ErrorClass::ContextOverflow,
            "the history and the answer do not fit the model's window; compact the history",
        ),
        _ => return None,
    };
    Some(ModelError { provider_code: Some(finish.to_owned()), ..error })
}

/// The stream ended before the answer did.
pub(super) fn truncated() -> ModelError {
    ModelError::retryable(ErrorClass::TruncatedStream, "the stream ended before the answer did")
}

fn empty() -> ModelError {
    ModelError::retryable(ErrorClass::EmptyAnswer, "the model ended without text and without a tool call")
}
