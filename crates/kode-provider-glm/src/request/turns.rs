//! The history as GLM's messages. Borrows all text: a request does not copy the history.

use std::borrow::Cow;

use kode_core::message::{Block, Message, Role};
use serde::Serialize;
use serde_json::{Value, json};

/// Longest name of a tool.
const NAME_CHARS: usize = 64;

/// One message as GLM reads it.
#[derive(Debug, Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
pub(super) enum Turn<'a> {
    /// What the model is told first.
    System { content: &'a str },
    /// What a person said.
    User { content: Cow<'a, str> },
    /// What the model said and asked for.
    Assistant {
        content: Cow<'a, str>,
        #[serde(skip_serializing_if = "str::is_empty")]
        reasoning_content: Cow<'a, str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<Asked<'a>>,
    },
    /// What came of a call.
    Tool { tool_call_id: &'a str, content: &'a str },
}

/// A tool call as GLM reads it.
#[derive(Debug, Serialize)]
pub(super) struct Asked<'a> {
    id: &'a str,
    r#type: &'static str,
    function: Function<'a>,
}

#[derive(Debug, Serialize)]
struct Function<'a> {
    name: Cow<'a, str>,
    arguments: String,
}

/// The turns that one message makes, with its reasoning or without: none for a message without content,
/// which GLM refuses.
pub(super) fn of(message: &Message, with_reasoning: bool) -> Vec<Turn<'_>> {
    match message.role {
        Role::User => user(&message.content),
        Role::Assistant => assistant(&message.content, with_reasoning).into_iter().collect(),
    }
}

/// Results come first, as they must follow the calls at once.
fn user(blocks: &[Block]) -> Vec<Turn<'_>> {
    let mut turns: Vec<_> = blocks.iter().filter_map(result).collect();
    let content = joined(blocks.iter().filter_map(Block::as_text), "\n\n");
    if !content.trim().is_empty() {
        turns.push(Turn::User { content });
    }
    turns
}

fn result(block: &Block) -> Option<Turn<'_>> {
    match block {
        Block::ToolResult { id, content, is_error: _ } => {
            Some(Turn::Tool { tool_call_id: id.as_str(), content })
        }
        Block::Text { .. } | Block::Thinking { .. } | Block::ToolUse { .. } => None,
    }
}

fn assistant(blocks: &[Block], with_reasoning: bool) -> Option<Turn<'_>> {
    let content = joined(blocks.iter().filter_map(Block::as_text), "");
    let reasoning_content = joined(blocks.iter().filter_map(thinking).filter(|_| with_reasoning), "");
    let tool_calls: Vec<_> = blocks.iter().filter_map(asked).collect();
    // Reasoning alone is no message: an interrupt cut the model off before it said anything.
    let says = !content.is_empty() || !tool_calls.is_empty();
    says.then_some(Turn::Assistant { content, reasoning_content, tool_calls })
}

fn thinking(block: &Block) -> Option<&str> {
    match block {
        Block::Thinking { text } => Some(text),
        Block::Text { .. } | Block::ToolUse { .. } | Block::ToolResult { .. } => None,
    }
}

fn asked(block: &Block) -> Option<Asked<'_>> {
    match block {
        Block::ToolUse { id, name, input } => {
            let function = Function { name: legal(name), arguments: arguments(input) };
            Some(Asked { id: id.as_str(), r#type: "function", function })
        }
        Block::Text { .. } | Block::Thinking { .. } | Block::ToolResult { .. } => None,
    }
}

/// Always a JSON object as text. Raw text that was none is wrapped, as a request with broken arguments in
/// its history would be refused for ever.
fn arguments(input: &Value) -> String {
    match input {
        Value::Object(_) => input.to_string(),
        Value::Null => "{}".to_owned(),
        other => json!({ "unparsed": other }).to_string(),
    }
}

/// Whether GLM takes the name.
pub(super) fn is_legal(name: &str) -> bool {
    (1..=NAME_CHARS).contains(&name.len()) && name.bytes().all(is_legal_byte)
}

fn is_legal_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// The name as it may be sent. A model can invent any name; the call has failed, but it stays in the
/// history, which must go on being accepted.
fn legal(name: &str) -> Cow<'_, str> {
    match name {
        _ if is_legal(name) => Cow::Borrowed(name),
        "" => Cow::Borrowed("unnamed"),
        _ => {
            let byte = |c: char| u8::try_from(c).ok().filter(|b| is_legal_byte(*b)).map_or('_', char::from);
            Cow::Owned(name.chars().map(byte).take(NAME_CHARS).collect())
        }
    }
}

/// The texts as one; the only one is borrowed.
fn joined<'a>(mut texts: impl Iterator<Item = &'a str>, between: &str) -> Cow<'a, str> {
    let first = Cow::Borrowed(texts.next().unwrap_or_default());
    texts.fold(first, |all, text| Cow::Owned(format!("{all}{between}{text}")))
}
