//! `fs_edit`: one piece of text in a file replaced.

use async_trait::async_trait;
use kode_core::tool::{ToolCx, ToolError, TypedTool};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::edit::{DIFF_MAX, Edit, apply, diff, load};
use crate::failure::of_file;
use crate::offload::offload;

/// Edits a file.
#[derive(Debug, Clone, Copy)]
pub struct FsEdit;

/// What to replace.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// The file, relative to the work directory.
    path: String,
    /// The exact text to replace, with its white space; it must occur exactly once unless replace_all is set.
    old_string: String,
    /// The text to put in its place, taken literally.
    new_string: String,
    /// Replace every occurrence.
    #[serde(default)]
    replace_all: bool,
}

#[async_trait]
impl TypedTool for FsEdit {
    type Args = Args;
    const NAME: &'static str = "fs_edit";
    const DESCRIPTION: &'static str = "Replace a piece of text in a file. The old text is matched literally \
        and must occur exactly once, unless replace_all is set. Returns the number of replacements and a \
        unified diff.";

    async fn run(&self, cx: &ToolCx, args: Args) -> Result<Value, ToolError> {
        let Args { path, old_string, new_string, replace_all } = args;
        let old = load(cx, &path).await?;
        let edit = Edit { find: old_string, replace: new_string, all: replace_all };
        let shown = path.clone();
        let (new, count, diff) = offload(cx, move || {
            let (new, count) = apply(&shown, &old, &edit)?;
            let diff = diff(&shown, &old, &new, DIFF_MAX);
            Ok((new, count, diff))
        })
        .await??;
        cx.workspace.write(&path, new.as_bytes()).await.map_err(of_file)?;
        Ok(json!({ "path": path, "replacements": count, "diff": diff }))
    }
}
