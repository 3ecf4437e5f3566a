//! The agent's todo list: a snapshot with a version, and the rules that a new list must keep.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// How far an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TodoStatus {
    /// Not begun.
    Pending,
    /// Being worked on; at most one item is.
    InProgress,
    /// Done.
    Completed,
}

/// One item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Todo {
    /// A name that is unique in the list.
    pub id: String,
    /// What is to be done; not blank.
    pub title: String,
    /// How far it is.
    pub status: TodoStatus,
    /// Who does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee: Option<String>,
    /// Anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

/// Why a list is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTodos {
    /// Two items have the same id.
    #[error("two todos have the id {0:?}; give each its own")]
    DuplicateId(String),
    /// An item has no title.
    #[error("todo {0:?} has a blank title; say what is to be done")]
    BlankTitle(String),
    /// More than one item is in progress.
    #[error("{0} todos are in_progress; at most one may be")]
    ManyInProgress(usize),
}

/// Checks a list against the rules.
///
/// # Errors
/// The first rule that it breaks.
pub fn check(todos: &[Todo]) -> Result<(), InvalidTodos> {
    let mut seen = BTreeSet::new();
    for todo in todos {
        if !seen.insert(todo.id.as_str()) {
            return Err(InvalidTodos::DuplicateId(todo.id.clone()));
        }
        if todo.title.trim().is_empty() {
            return Err(InvalidTodos::BlankTitle(todo.id.clone()));
        }
    }
    match todos.iter().filter(|t| t.status == TodoStatus::InProgress).count() {
        0 | 1 => Ok(()),
        many => Err(InvalidTodos::ManyInProgress(many)),
    }
}

/// A list and its version: it rises by one with each change.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TodoList {
    /// The items.
    pub todos: Vec<Todo>,
    /// How often the list was changed.
    pub version: u64,
}
