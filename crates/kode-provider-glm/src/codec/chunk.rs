//! The JSON inside a frame, as tolerant as the field needs it: what a gateway may leave out, null, repeat
//! or write in another type.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use kode_core::message::Usage;

/// One chunk of an answer, or an error in its place.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Chunk {
    #[serde(deserialize_with = "loose")]
    pub(super) id: Option<String>,
    #[serde(deserialize_with = "loose")]
    pub(super) model: Option<String>,
    #[serde(deserialize_with = "listed")]
    pub(super) choices: Vec<Choice>,
    pub(super) usage: Value,
    error: Value,
    code: Value,
    success: Value,
}

/// One of the alternatives; GLM gives only the one with index 0.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Choice {
    index: Value,
    // A whole answer, asked for or not, has `message` where a stream has `delta`.
    delta: Option<Delta>,
    message: Option<Delta>,
    #[serde(deserialize_with = "loose")]
    pub(super) finish_reason: Option<String>,
}

/// What a chunk adds.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Delta {
    pub(super) content: Value,
    pub(super) reasoning_content: Value,
    #[serde(deserialize_with = "listed")]
    pub(super) tool_calls: Vec<CallDelta>,
}

/// What a chunk adds to a tool call.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CallDelta {
    pub(super) index: Option<i64>,
    #[serde(deserialize_with = "loose")]
    pub(super) id: Option<String>,
    function: Option<FunctionDelta>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FunctionDelta {
    #[serde(deserialize_with = "loose")]
    pub(super) name: Option<String>,
    #[serde(deserialize_with = "loose")]
    pub(super) arguments: Option<String>,
}

impl Chunk {
    /// Whether the frame tells of a failure: `{"error":…}`, or the envelope `{"code":…,"success":false}`.
    pub(super) fn is_error(&self) -> bool {
        let envelope =
            self.success == Value::Bool(false) || (self.choices.is_empty() && !self.code.is_null());
        !self.error.is_null() || envelope
    }

    /// The choice that counts.
    pub(super) fn into_choice(self) -> Option<Choice> {
        self.choices.into_iter().find(|choice| choice.index.is_null() || choice.index == 0)
    }
}

impl Choice {
    /// What it adds.
    pub(super) fn delta(&mut self) -> Delta {
        self.delta.take().or_else(|| self.message.take()).unwrap_or_default()
    }
}

impl CallDelta {
    /// The function's part.
    pub(super) fn function(&mut self) -> FunctionDelta {
        self.function.take().unwrap_or_default()
    }
}

/// Text that may come as a string or as a list of typed parts, of which those with text count.
pub(super) fn text(content: Value) -> String {
    match content {
        Value::String(text) => text,
        Value::Array(parts) => parts.into_iter().map(part).collect(),
        Value::Object(_) => part(content),
        Value::Null | Value::Bool(_) | Value::Number(_) => String::new(),
    }
}

fn part(mut part: Value) -> String {
    match part.get_mut("text").map(Value::take).unwrap_or(part) {
        Value::String(text) => text,
        _ => String::new(),
    }
}

/// The provider's counts, if there are any.
pub(super) fn usage(told: &Value) -> Option<Usage> {
    // Most chunks have none.
    let told = told.as_object()?;
    let count = |name: &str| told.get(name).and_then(Value::as_u64);
    let detail = |of: &str, name: &str| told.get(of).and_then(|of| of.get(name)).and_then(Value::as_u64);
    let (input, output) = (count("prompt_tokens"), count("completion_tokens"));
    let input_tokens = input.or(output.map(|_| 0))?;
    let output_tokens = output.unwrap_or(0);
    Some(Usage {
        input_tokens,
        output_tokens,
        total_tokens: count("total_tokens").unwrap_or(input_tokens.saturating_add(output_tokens)),
        cached_tokens: detail("prompt_tokens_details", "cached_tokens").unwrap_or(0),
        reasoning_tokens: detail("completion_tokens_details", "reasoning_tokens").unwrap_or(0),
        cost_micros: 0,
    })
}

/// Text that a gateway may write as a number or an object, and where empty and null mean absent.
fn loose<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::Null => None,
        Value::String(text) => Some(text).filter(|text| !text.is_empty()),
        other => Some(other.to_string()),
    })
}

/// A list where null means none.
fn listed<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}
