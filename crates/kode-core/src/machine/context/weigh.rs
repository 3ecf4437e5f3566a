//! How many tokens a text takes: our own estimate, by the kind of its characters. Rough on purpose; what the
//! provider reports corrects it.

use serde_json::Value;

use crate::message::{Block, Message};
use crate::model::ToolSpec;
use crate::template::Template;

use super::cut;

/// What a message costs beside its content.
const MESSAGE: u64 = 4;
/// What a call or a result costs beside its texts: names of fields, the id.
const CALL: u64 = 8;

/// The estimate of a text. Counted in twelfths of a token: a letter of ASCII is a quarter, one of two bytes
/// a half, one of three (Chinese, Japanese, Korean and most others) two thirds, one of four two whole.
pub(in crate::machine) fn text(text: &str) -> u64 {
    let twelfths = |byte: u8| match byte {
        0x00..=0x7f => 3,
        0x80..=0xbf => 0,
        0xc0..=0xdf => 6,
        0xe0..=0xef => 8,
        0xf0..=0xff => 24,
    };
    text.bytes().map(twelfths).sum::<u64>().div_ceil(12)
}

/// What every request of an agent holds beside its messages: system prompt and tools.
#[must_use]
pub fn overhead(template: &Template, tools: &[ToolSpec]) -> u64 {
    let tool =
        |spec: &ToolSpec| CALL + text(&spec.name) + text(&spec.description) + value(&spec.input_schema);
    MESSAGE + text(&template.system_prompt) + tools.iter().map(tool).sum::<u64>()
}

/// A message without its reasoning, its results cut to `most` bytes where that is given.
pub(super) fn message(message: &Message, most: Option<usize>) -> u64 {
    MESSAGE + message.content.iter().map(|block| content(block, most)).sum::<u64>()
}

/// The reasoning of a message: sent in its own turn only.
pub(super) fn reasoning(message: &Message) -> u64 {
    let thought = |block: &Block| match block {
        Block::Thinking { text: thought } => text(thought),
        Block::Text { .. } | Block::ToolUse { .. } | Block::ToolResult { .. } => 0,
    };
    message.content.iter().map(thought).sum()
}

fn content(block: &Block, most: Option<usize>) -> u64 {
    match block {
        Block::Text { text: said } => text(said),
        Block::Thinking { .. } => 0,
        Block::ToolUse { name, input, .. } => CALL + text(name) + value(input),
        Block::ToolResult { content, .. } => {
            let cut = most.and_then(|most| cut::middle(content, most));
            CALL + text(cut.as_ref().unwrap_or(content))
        }
    }
}

/// JSON without writing it.
fn value(json: &Value) -> u64 {
    match json {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(string) => 1 + text(string),
        Value::Array(items) => 1 + items.iter().map(|item| 1 + value(item)).sum::<u64>(),
        Value::Object(fields) => {
            1 + fields.iter().map(|(key, item)| 2 + text(key) + value(item)).sum::<u64>()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_weighs_by_its_characters() {
        assert_eq!(text(""), 0);
        assert_eq!(text("four letters"), 3);
        assert_eq!(text("你好世界你好"), 4);
        assert_eq!(text("привет"), 3);
        assert_eq!(text("😀"), 2);
        assert_eq!(text(&"a".repeat(4_000)), 1_000);
    }

    /// The tools are a part of every request, with their names, what they are for and their inputs.
    #[test]
    fn tools_weigh_with_all_their_texts() {
        let template = Template::new("t", "four letters");
        let tool = ToolSpec {
            name: "read".into(),
            description: "It reads one of the files that are there.".into(),
            input_schema: serde_json::json!({ "type": "object" }),
        };
        assert_eq!(overhead(&template, &[]), 7);
        assert_eq!(overhead(&template, std::slice::from_ref(&tool)), 7 + 27);
        assert_eq!(overhead(&template, &[tool.clone(), tool]), 7 + 2 * 27);
    }

    /// JSON weighs about what it is long.
    #[test]
    fn json_weighs_by_its_parts() {
        let weights = [
            serde_json::json!(null),
            serde_json::json!(12),
            serde_json::json!("four letters"),
            serde_json::json!([true, false]),
            serde_json::json!({ "path": "a.txt", "lines": [1, 2] }),
        ]
        .map(|json| value(&json));
        assert_eq!(weights, [1, 2, 4, 5, 18]);
    }
}
