//! `fs_write`: a file replaced or made.

use async_trait::async_trait;
use kode_core::sandbox::FileError;
use kode_core::tool::{ToolCx, ToolError, TypedTool};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::failure::of_file;

/// Writes files.
#[derive(Debug, Clone, Copy)]
pub struct FsWrite;

/// What to write.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// The file, relative to the work directory; missing directories are made.
    path: String,
    /// The whole new content.
    content: String,
}

// Not replayable, although it writes the same content again: see the README.
#[async_trait]
impl TypedTool for FsWrite {
    type Args = Args;
    const NAME: &'static str = "fs_write";
    const DESCRIPTION: &'static str = "Write a file: make it, or replace all of its content. Fails when \
        something else changed the file since you last read it. To change a part of a file use fs_edit.";

    async fn run(&self, cx: &ToolCx, args: Args) -> Result<Value, ToolError> {
        let created = matches!(cx.workspace.stat(&args.path).await, Err(FileError::NotFound(_)));
        cx.workspace.write(&args.path, args.content.as_bytes()).await.map_err(of_file)?;
        Ok(json!({ "path": args.path, "bytes": args.content.len(), "created": created }))
    }
}
