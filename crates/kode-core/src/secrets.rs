//! Values that must not come to agents: what the host itself holds, such as its key for the model. A tool that reads
//! one by accident, from a file or a log, hands on a mark in its place.
//!
//! It is a net below the sandbox, which keeps a tool away from where secrets are. It knows a value as it is, not one
//! that was encoded, cut or spelt backwards.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::tool::ToolError;

/// What stands in a secret's place.
const MARK: &str = "[redacted]";
/// Shortest value that is looked for, in bytes: a shorter one stands in texts by chance.
const SHORTEST: usize = 8;

/// Some secrets. Clones are the same ones; [`Debug`] shows how many there are.
#[derive(Clone, Default)]
pub struct Secrets(Arc<[Box<str>]>);

impl Secrets {
    /// These values; those of less than 8 bytes are left out.
    #[must_use]
    pub fn new<S: Into<String>>(values: impl IntoIterator<Item = S>) -> Self {
        let mut values: Vec<Box<str>> =
            values.into_iter().map(|value| value.into().into_boxed_str()).collect();
        values.retain(|value| value.len() >= SHORTEST);
        // One that holds another goes first, or its rest would stay.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.dedup();
        Self(values.into())
    }

    /// The text without them.
    #[must_use]
    pub fn scrub<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut scrubbed = Cow::Borrowed(text);
        for secret in self.0.iter() {
            if scrubbed.contains(&**secret) {
                scrubbed = scrubbed.replace(&**secret, MARK).into();
            }
        }
        scrubbed
    }

    /// The value without them, in texts and in names of fields.
    #[must_use]
    pub fn scrub_value(&self, value: Value) -> Value {
        if self.0.is_empty() {
            return value;
        }
        match value {
            Value::String(text) => Value::String(self.scrub(&text).into_owned()),
            Value::Array(items) => items.into_iter().map(|item| self.scrub_value(item)).collect(),
            Value::Object(fields) => {
                let scrubbed = |(name, value): (String, Value)| {
                    (self.scrub(&name).into_owned(), self.scrub_value(value))
                };
                fields.into_iter().map(scrubbed).collect::<Map<_, _>>().into()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value,
        }
    }

    /// What a tool gave, without them.
    pub(crate) fn scrub_outcome(&self, outcome: Result<Value, ToolError>) -> Result<Value, ToolError> {
        let scrub = |text: String| self.scrub(&text).into_owned();
        outcome.map(|value| self.scrub_value(value)).map_err(|ToolError { code, message, hint }| ToolError {
            code: scrub(code),
            message: scrub(message),
            hint: hint.map(scrub),
        })
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_known_value_is_replaced_wherever_it_stands() {
        let secrets = Secrets::new(["hunter2hunter2", "hunter2hunter2-and-more", "short", "hunter2hunter2"]);
        let told =
            json!({ "a": ["x hunter2hunter2 y", { "hunter2hunter2-and-more": 1 }], "b": "short", "c": null });
        let expected = json!({ "a": ["x [redacted] y", { "[redacted]": 1 }], "b": "short", "c": null });
        assert_eq!(secrets.scrub_value(told), expected);
        assert_eq!(format!("{secrets:?}"), "Secrets(2)");
        assert!(matches!(secrets.scrub("nothing here"), Cow::Borrowed(_)));
    }

    #[test]
    fn an_error_is_scrubbed_like_a_result() {
        let secrets = Secrets::new(["hunter2hunter2"]);
        let error = ToolError::new("failed", "at hunter2hunter2").hint("not hunter2hunter2");
        let expected = ToolError::new("failed", "at [redacted]").hint("not [redacted]");
        assert_eq!(secrets.scrub_outcome(Err(error)), Err(expected));
    }
}
