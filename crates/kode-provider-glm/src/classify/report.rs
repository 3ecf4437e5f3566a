//! What a failure's body says, whatever its shape.

use serde_json::Value;

/// Code and message of a failure, as far as they could be read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    /// The business code as text; the provider writes it as a string or a number.
    pub(super) code: Option<String>,
    /// One line for a person.
    pub(super) message: Option<String>,
    /// The body is that of a web framework which knows no such route.
    pub(super) no_route: bool,
}

impl Report {
    /// Reads a body, which may be no JSON at all.
    pub(super) fn of_bytes(body: &[u8]) -> Self {
        first_object(body).map_or_else(|| Self::of_text(body), |value| Self::of(&value))
    }

    /// Reads a JSON body: `{"error":{…}}`, `{"error":"…"}`, the envelope `{"code":…,"msg":…}`, or the bare
    /// inside of one of them.
    pub(super) fn of(body: &Value) -> Self {
        match &body["error"] {
            Value::Object(_) => Self::fields(&body["error"]),
            Value::String(name) => Self {
                no_route: body["path"].is_string() || body["status"] == 404,
                message: Some(line(name)),
                ..Self::fields(body)
            },
            _ => Self::fields(body),
        }
    }

    fn fields(of: &Value) -> Self {
        let text = |name: &str| match &of[name] {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        Self {
            code: text("code").or_else(|| text("type")),
            message: text("message").or_else(|| text("msg")).or_else(|| text("detail")).map(|m| line(&m)),
            no_route: false,
        }
    }

    /// A page of HTML says nothing that a person could use.
    fn of_text(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let text = text.trim();
        let message = (!text.is_empty() && !text.starts_with('<')).then(|| line(text));
        Self { message, ..Self::default() }
    }
}

/// The first JSON object of a body; a gateway may have put it into a frame of an event stream.
fn first_object(body: &[u8]) -> Option<Value> {
    let start = body.iter().position(|b| *b == b'{')?;
    serde_json::Deserializer::from_slice(&body[start..]).into_iter().next()?.ok()
}

/// The text on one line. It is not cut here: half a key could no longer be recognised.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
