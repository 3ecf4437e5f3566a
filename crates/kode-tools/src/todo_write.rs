//! `todo_write`: the agent's todo list replaced.

use async_trait::async_trait;
use kode_core::todo::{Todo, check};
use kode_core::tool::{TodoRefused, ToolCx, ToolError, ToolTraits, TypedTool};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// Most items of a list that a model may write.
const TODOS_MAX: usize = 200;

/// Writes the todo list.
#[derive(Debug, Clone, Copy)]
pub struct TodoWrite;

/// The new list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// The whole list, in order; what is not in it is gone. Each id once, no blank title, at most one item in_progress.
    #[schemars(length(max = 200))]
    todos: Vec<Todo>,
}

#[async_trait]
impl TypedTool for TodoWrite {
    type Args = Args;
    const NAME: &'static str = "todo_write";
    const DESCRIPTION: &'static str = "Replace your todo list. Use it to plan work of several steps, and \
        write it again whenever an item is begun or done. Returns the list with its version.";
    // Only the agent's own driver changes the list, and it finishes this call first: see the README.
    const TRAITS: ToolTraits = ToolTraits { replayable: true, ..ToolTraits::NONE };

    async fn run(&self, cx: &ToolCx, args: Args) -> Result<Value, ToolError> {
        if args.todos.len() > TODOS_MAX {
            return Err(invalid(&format!(
                "{} todos are too many, at most {TODOS_MAX} may be",
                args.todos.len()
            )));
        }
        check(&args.todos).map_err(|e| invalid(&e.to_string()))?;
        cx.host.set_todos(args.todos).await.map(|list| json!(list)).map_err(of_refusal)
    }
}

fn invalid(message: &str) -> ToolError {
    ToolError::new("invalid_todos", message).hint("mend the list and write the whole of it again")
}

fn of_refusal(refused: TodoRefused) -> ToolError {
    let message = refused.to_string();
    match refused {
        TodoRefused::Invalid(_) => invalid(&message),
        TodoRefused::VersionConflict { .. } => {
            ToolError::new("changed", message).hint("read it with todo_read and write it again")
        }
        TodoRefused::Unavailable(_) => {
            ToolError::new("unavailable", message).hint("go on without the list and try again later")
        }
    }
}
