//! Upstream's messages, taken apart: who speaks, what is said, which calls are asked for and which are answered.
//! What cannot be said in our blocks becomes text that says so; nothing is passed over.

use kode_core::message::{Block, Role};
use serde_json::Value;

use crate::note::Notes;

/// One message of upstream's.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) role: Role,
    /// Whether upstream said it in the system's name.
    pub(crate) system: bool,
    pub(crate) parts: Vec<Part>,
}

/// One part of it.
#[derive(Debug)]
pub(crate) enum Part {
    /// Text or reasoning.
    Block(Block),
    /// A call, by the id that the model gave it: such ids repeat.
    Use { id: String, name: String, input: Value },
    /// A result, of the call with that id.
    Result { id: String, content: String, is_error: bool },
}

/// Takes `messages.json` apart, in order.
pub(crate) fn messages(document: &[Value], notes: &mut Notes) -> Vec<Said> {
    document.iter().zip(1..).map(|(message, number)| said(message, number, notes)).collect()
}

fn said(message: &Value, number: usize, notes: &mut Notes) -> Said {
    let (role, system) = match message["role"].as_str() {
        Some("assistant") => (Role::Assistant, false),
        Some("user") => (Role::User, false),
        Some("system") => {
            notes.mended(format!(
                "message {number} was a system message within the history; it is a user's now"
            ));
            (Role::User, true)
        }
        Some(_) | None => {
            notes.mended(format!(
                "message {number} says of nobody that is known that it is theirs; it is a user's now"
            ));
            (Role::User, false)
        }
    };
    let parts = match &message["content"] {
        Value::String(text) => vec![Part::Block(Block::text(text))],
        Value::Array(blocks) => blocks.iter().filter_map(|block| part(block, role, number, notes)).collect(),
        Value::Null => Vec::new(),
        other => vec![foreign("content", other, number, notes)],
    };
    if message["metadata"]["content_blocks"].is_array() {
        notes.left(format!("message {number} had the provider's own blocks beside its content"));
    }
    Said { role, system, parts }
}

/// One block; none for a text of nothing.
fn part(block: &Value, role: Role, number: usize, notes: &mut Notes) -> Option<Part> {
    let text = |name: &str| block[name].as_str().unwrap_or_default().to_owned();
    let kind = block["type"].as_str().unwrap_or("none");
    match (kind, role) {
        ("text", _) if block["text"].is_string() => {
            let text = text("text");
            (!text.is_empty()).then(|| Part::Block(Block::text(text)))
        }
        ("reasoning", Role::Assistant) if block["reasoning"].is_string() => {
            Some(Part::Block(Block::Thinking { text: text("reasoning") }))
        }
        ("tool_use", Role::Assistant) => {
            Some(Part::Use { id: text("id"), name: text("name"), input: block["input"].clone() })
        }
        ("tool_result", _) => Some(Part::Result {
            id: text("tool_use_id"),
            content: result_text(&block["content"]),
            is_error: block["is_error"] == true,
        }),
        ("image" | "image_url" | "audio" | "file", _) => Some(medium(kind, block, number, notes)),
        (_, _) => Some(foreign(kind, block, number, notes)),
    }
}

/// What a model reads of a result.
pub(crate) fn result_text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        // Results of the model's own kind are a list of text blocks.
        Value::Array(blocks)
            if !blocks.is_empty() && blocks.iter().all(|b| b["type"] == "text" && b["text"].is_string()) =>
        {
            let texts: Vec<_> = blocks.iter().filter_map(|b| b["text"].as_str()).collect();
            texts.join("\n")
        }
        other => other.to_string(),
    }
}

/// A picture, a sound or a file: what is known of it, without its bytes.
fn medium(kind: &str, block: &Value, number: usize, notes: &mut Notes) -> Part {
    notes.left(format!("message {number} had a block of the kind {kind}; a text stands in its place"));
    let url =
        block["url"].as_str().or(block["image_url"]["url"].as_str()).filter(|url| !url.starts_with("data:"));
    let named = [block["filename"].as_str(), url, block["file_id"].as_str(), block["mime_type"].as_str()];
    let about: String = named.into_iter().flatten().map(|word| format!(" {word}")).collect();
    Part::Block(Block::text(format!("[{kind}{about}: not carried over]")))
}

/// What has no meaning here, told to the model as it stands.
fn foreign(kind: &str, block: &Value, number: usize, notes: &mut Notes) -> Part {
    notes.mended(format!(
        "message {number} had something of the kind {kind} that has no place there; it is text now"
    ));
    Part::Block(Block::text(block.to_string()))
}
