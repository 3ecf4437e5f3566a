//! A part of the history as text: what the model is asked to summarise, and the excerpt that stands for it
//! where the model gives no summary. No message of a digest holds a call, so no provider looks for a result.

use std::sync::Arc;

use crate::fact::CompactionPlan;
use crate::machine::{Cx, Prompt, State};
use crate::message::{Block, Message, Role};
use crate::template::Language;
use crate::todo::{Todo, TodoStatus};

use super::{Scale, cut, plan, weigh, words};
use crate::id::{MessageId, Seq};
use crate::pages::Pages;

/// Most bytes of each kind of piece in a digest.
struct Bounds {
    summary: usize,
    said: usize,
    input: usize,
    result: usize,
}

/// What the model reads to make a summary.
const FULL: Bounds = Bounds { summary: 65_536, said: 16_384, input: 1_024, result: 2_048 };
/// The room for a digest where nobody knows the window, as a part of what was too long.
const UNKNOWN: u64 = 2;
/// What the words around the digest take, in estimated tokens.
const ASKING: u64 = 400;

/// The request for a summary of what a plan leaves out: one message, no tools.
pub(in crate::machine) fn summary_request(state: &State, cx: &Cx<'_>, plan: &CompactionPlan) -> Prompt {
    let words = words(cx.template.language());
    let scale = Scale::of(&state.context);
    let whole = plan::limit(cx).map_or(state.estimate(cx) / UNKNOWN, |limit| scale.estimate(limit));
    let most = whole.saturating_sub(plan.room + ASKING).max(plan.room);
    let text = fitted(&digest(state, plan, &FULL, cx.template.language()), most);
    let asked = words.ask.replace("{words}", &(plan.room / 2).to_string()).replace("{text}", &text);
    let room = u32::try_from(plan.room).unwrap_or(u32::MAX);
    Prompt {
        system: words.system.to_owned(),
        messages: [Arc::new(said(asked, state))].into_iter().collect::<Pages<Message>>(),
        turn_start: 0,
        model: cx.template.model.clone(),
        max_tokens: cx.template.limits.max_tokens.max(room),
    }
}

fn said(text: String, state: &State) -> Message {
    Message {
        id: MessageId::new("summary_request"),
        role: Role::User,
        content: vec![Block::text(text)],
        created_at: state.updated_at,
        seq: Seq::ZERO,
        interrupted: false,
        metadata: serde_json::Map::new(),
    }
}

/// What stands for the left out part where the model gave no summary: who said what, shortened until it
/// fits.
pub(in crate::machine) fn excerpt(state: &State, cx: &Cx<'_>, plan: &CompactionPlan) -> String {
    let language = cx.template.language();
    let note = words(language).excerpt;
    let room = plan.room.saturating_sub(weigh::text(note) + 1);
    // Half of the room is the older summary's, at four bytes a token.
    let summary = usize::try_from(room.saturating_mul(2)).unwrap_or(usize::MAX);
    let short = Bounds { summary, said: 400, input: 100, result: 0 };
    format!("{note}\n{}", fitted(&digest(state, plan, &short, language), room))
}

/// The open items of a list, one a line, under a heading; nothing if there are none.
pub(in crate::machine) fn todos(todos: &[Todo], language: Language) -> String {
    let open: Vec<Todo> = todos.iter().filter(|todo| todo.status != TodoStatus::Completed).cloned().collect();
    if open.is_empty() { String::new() } else { format!("{}\n{}", words(language).todos, todo_lines(&open)) }
}

/// Items of a list, one a line.
pub(in crate::machine) fn todo_lines(todos: &[Todo]) -> String {
    todos.iter().map(item).collect::<Vec<_>>().join("\n")
}

fn item(todo: &Todo) -> String {
    let status = match todo.status {
        TodoStatus::Pending => "pending",
        TodoStatus::InProgress => "in_progress",
        TodoStatus::Completed => "completed",
    };
    let Todo { id, title, .. } = todo;
    format!("- [{status}] {title} ({id})")
}

/// The message with its results cut; none where nothing is longer.
pub(super) fn shortened(message: &Message, most: usize) -> Option<Message> {
    let cut = |block: &Block| match block {
        Block::ToolResult { id, content, is_error } => cut::middle(content, most)
            .map(|content| Block::ToolResult { id: id.clone(), content, is_error: *is_error }),
        Block::Text { .. } | Block::Thinking { .. } | Block::ToolUse { .. } => None,
    };
    let cuts: Vec<Option<Block>> = message.content.iter().map(cut).collect();
    cuts.iter().any(Option::is_some).then(|| {
        let content =
            cuts.into_iter().zip(&message.content).map(|(cut, whole)| cut.unwrap_or_else(|| whole.clone()));
        Message { content: content.collect(), ..message.clone() }
    })
}

/// What is sent now and is not sent under the plan, as text.
fn digest(state: &State, plan: &CompactionPlan, bounds: &Bounds, language: Language) -> String {
    let left_out = |(at, _): &(Option<usize>, &Arc<Message>)| {
        at.is_none_or(|at| at < plan.up_to && !plan.kept.contains(&at))
    };
    let said = |(at, message): (Option<usize>, &Arc<Message>)| {
        pieces(message, bounds, if at.is_some() { bounds.said } else { bounds.summary }, language)
    };
    state.shown().filter(left_out).flat_map(said).collect::<Vec<_>>().join("\n")
}

fn pieces(message: &Message, bounds: &Bounds, most: usize, language: Language) -> Vec<String> {
    let words = words(language);
    let who = match message.role {
        Role::User => words.user,
        Role::Assistant => words.assistant,
    };
    let piece = |block: &Block| match block {
        Block::Text { text } => bounded(who, text.trim(), most),
        Block::Thinking { .. } => None,
        Block::ToolUse { name, input, .. } => {
            bounded(words.called, &format!("{name} {input}"), name.len() + bounds.input)
        }
        Block::ToolResult { content, .. } => bounded(words.result, content, bounds.result),
    };
    message.content.iter().filter_map(piece).collect()
}

fn bounded(who: &str, text: &str, most: usize) -> Option<String> {
    let says = !text.is_empty() && most > 0;
    says.then(|| format!("{who}: {}", cut::middle(text, most).as_deref().unwrap_or(text)))
}

/// The text, its middle left out until it weighs no more than so many estimated tokens. More is kept of its
/// end: that is what happened last.
fn fitted(text: &str, most: u64) -> String {
    let weight = weigh::text(text);
    if weight <= most {
        return text.to_owned();
    }
    let part = u128::from(most) * text.len() as u128 / u128::from(weight);
    let first = usize::try_from(part).unwrap_or(usize::MAX);
    let smaller = std::iter::successors(Some(first), |bytes| Some(bytes * 3 / 4).filter(|bytes| *bytes > 0));
    let mut cuts = smaller.filter_map(|bytes| cut::between(text, bytes / 4, bytes / 4 * 3));
    cuts.find(|cut| weigh::text(cut) <= most).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fitted_text_keeps_both_ends_and_its_bound() {
        let text: String = (0..2_000).map(|n| format!("{n} 个词 ")).collect();
        for most in [0, 5, 20, 200, 2_000] {
            let cut = fitted(&text, most);
            assert!(weigh::text(&cut) <= most, "{most}: {cut}");
            assert_eq!(most >= 20, cut.starts_with('0') && cut.ends_with("1999 个词 "), "{most}: {cut}");
        }
        assert_eq!(fitted("short", 2), "short");
    }
}
