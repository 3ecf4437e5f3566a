//! The model of `--demo`: a script, not a mind. It needs no key, streams word by word, calls real tools on
//! request, and says what it is.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use kode_core::message::{Block, Message, Role, Usage};
use kode_core::model::{AskedCall, Finish, Model, ModelError, ModelEvent, ModelRequest, ModelStream};
use kode_core::pages::Pages;
use serde_json::{Value, json};

/// Between two words: slow enough to be seen as a stream.
const PACE: Duration = Duration::from_millis(8);

/// The scripted model.
pub(crate) struct DemoModel;

#[async_trait]
impl Model for DemoModel {
    fn provider(&self) -> &str {
        "demo"
    }

    async fn stream(&self, request: ModelRequest) -> Result<ModelStream, ModelError> {
        let (text, calls) = reply(&request.messages);
        let finish = if calls.is_empty() { Finish::Stop } else { Finish::ToolCalls };
        let usage = usage(&request, &text);
        let last = ModelEvent::Finished { calls, finish, usage: Some(usage) };
        let events = words(&text).into_iter().map(ModelEvent::Text).chain([last]);
        Ok(stream::iter(events)
            .then(|event| async move {
                tokio::time::sleep(PACE).await;
                Ok(event)
            })
            .boxed())
    }
}

/// What the script says to a history: a tool's result is told, a request for a tool is made, and anything
/// else is answered with what the script is.
fn reply(messages: &Pages<Message>) -> (String, Vec<AskedCall>) {
    let asking = |message: &&Arc<Message>| !message.id.as_str().starts_with("reminder_");
    let Some(last) = messages.iter().filter(asking).last() else { return (String::from("…"), Vec::new()) };
    if let Some((content, is_error)) = last_result(last) {
        return (told(content, is_error), Vec::new());
    }
    let asked = last.text();
    match command(asked.trim()) {
        Some((say, name, input)) => {
            (say, vec![AskedCall { name: name.into(), arguments: input.to_string() }])
        }
        None => (greeting(asked.trim(), messages), Vec::new()),
    }
}

fn last_result(message: &Message) -> Option<(&str, bool)> {
    message.content.iter().rev().find_map(|block| match block {
        Block::ToolResult { content, is_error, .. } => Some((content.as_str(), *is_error)),
        Block::Text { .. } | Block::Thinking { .. } | Block::ToolUse { .. } => None,
    })
}

fn told(content: &str, is_error: bool) -> String {
    let shown: String = content.chars().take(400).collect();
    if is_error { format!("The tool said no: {shown}") } else { format!("Done. The tool answered: {shown}") }
}

/// `write PATH TEXT`, `read PATH`, `todo TITLE`: the requests that the script knows.
fn command(asked: &str) -> Option<(String, &'static str, Value)> {
    let (verb, rest) = asked.split_once(char::is_whitespace)?;
    let rest = rest.trim();
    match verb {
        "write" => {
            let (path, content) = rest.split_once(char::is_whitespace)?;
            let input = json!({ "path": path, "content": content });
            Some((format!("I write {path}."), "fs_write", input))
        }
        "read" => Some((format!("I read {rest}."), "fs_read", json!({ "path": rest }))),
        "todo" => {
            let todos = json!([{ "id": "1", "title": rest, "status": "pending" }]);
            Some(("I note it down.".into(), "todo_write", json!({ "todos": todos })))
        }
        _ => None,
    }
}

fn greeting(asked: &str, messages: &Pages<Message>) -> String {
    let turn = messages.iter().filter(|m| m.role == Role::User && last_result(m).is_none()).count();
    let asked: String = asked.chars().take(200).collect();
    if asked.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)) {
        return format!(
            "你说的是：“{asked}”。我是 kode 的演示模型，只会照脚本回答，这是你的第 {turn} 条消息。\
             可以试试：write hello.txt 你好，read hello.txt，todo 买茶。"
        );
    }
    format!(
        "You said: \"{asked}\". I am kode's demo model, a script, and this is message {turn} of yours. \
         Try: write hello.txt hi, read hello.txt, todo buy tea."
    )
}

/// Pieces that end after a blank, or after a few characters where a language has none.
fn words(text: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for c in text.chars() {
        let full = pieces.last().is_some_and(|p| p.ends_with(' ') || p.chars().count() >= 8);
        if full {
            pieces.push(String::new());
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push(c);
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// A rough count, so that usage is seen to work: four bytes a token.
fn usage(request: &ModelRequest, answer: &str) -> Usage {
    let sent: usize = request.messages.iter().map(|m| m.text().len()).sum();
    let (input_tokens, output_tokens) =
        (((request.system.len() + sent) / 4) as u64, (answer.len() / 4) as u64);
    Usage { input_tokens, output_tokens, total_tokens: input_tokens + output_tokens, ..Usage::default() }
}
