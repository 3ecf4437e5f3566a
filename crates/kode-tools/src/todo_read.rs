//! `todo_read`: the agent's todo list.

use async_trait::async_trait;
use kode_core::tool::{ToolCx, ToolError, ToolTraits, TypedTool};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// Reads the todo list.
#[derive(Debug, Clone, Copy)]
pub struct TodoRead;

/// Nothing to say.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {}

#[async_trait]
impl TypedTool for TodoRead {
    type Args = Args;
    const NAME: &'static str = "todo_read";
    const DESCRIPTION: &'static str = "Read your todo list.";
    const TRAITS: ToolTraits = ToolTraits { readonly: true, replayable: true, ..ToolTraits::NONE };

    async fn run(&self, cx: &ToolCx, _: Args) -> Result<Value, ToolError> {
        Ok(json!(cx.host.todos()))
    }
}
