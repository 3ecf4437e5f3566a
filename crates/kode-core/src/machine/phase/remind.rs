//! Reminders of the todo list: a message in the history, before the model is asked, that no user wrote.

use serde::{Deserialize, Serialize};

use crate::fact::{Fact, ReminderReason};
use crate::machine::{Cx, State, Turn, context};
use crate::todo::{Todo, TodoStatus};

/// The tool with which a model keeps its list.
const TODO_TOOL: &str = "todo_write";

/// What the model was told of the todo list without asking.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Reminders {
    /// Steps since the list changed or the model was reminded.
    pub quiet: u32,
    /// The last turn with a reminder.
    pub turn: u32,
    /// Whether it was told of an empty list.
    pub told_empty: bool,
}

/// The reminder that is due before the model is asked.
pub(in crate::machine) fn due(state: &State, cx: &Cx<'_>, turn: &Turn) -> Option<Fact> {
    let (todo, reminders) = (&cx.template.todo, &state.reminders);
    let starts = todo.remind_on_start && turn.steps == 0 && reminders.turn != state.turns;
    let quiet = todo.remind_every_steps > 0 && reminders.quiet >= todo.remind_every_steps;
    if !todo.enabled || !(starts || quiet) {
        return None;
    }
    let words = context::words(cx.template.language());
    let open: Vec<Todo> =
        state.todos.todos.iter().filter(|todo| todo.status != TodoStatus::Completed).cloned().collect();
    if !open.is_empty() {
        let reason = if starts { ReminderReason::Start } else { ReminderReason::Steps };
        let content = words.remind.replace("{todos}", &context::todo_lines(&open));
        return Some(Fact::TodoReminded { reason, todos: open, content });
    }
    // Told once: a model that keeps no list has its reasons.
    let empty = state.todos.todos.is_empty() && !reminders.told_empty && cx.template.tools.has(TODO_TOOL);
    let content = words.remind_empty.to_owned();
    empty.then_some(Fact::TodoReminded { reason: ReminderReason::Empty, todos: open, content })
}
