//! `fs_read`: a page of a text file.

use async_trait::async_trait;
use kode_core::tool::{RESULTS, ToolCx, ToolError, ToolTraits, TypedTool};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::FILE_MAX;
use crate::failure::of_file;
use crate::result::kept;
use crate::text::{is_binary, page};

/// Most bytes of one page: below the 64 KiB at which the runtime would cut a result in its middle.
const PAGE_MAX: usize = 48 * 1024;

/// Reads text files.
#[derive(Debug, Clone, Copy)]
pub struct FsRead;

/// What to read.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// The file, relative to the work directory; or @result/CALL, the whole of a result that was cut.
    path: String,
    /// The first line to read, counted from 1.
    #[serde(default = "first_line")]
    #[schemars(range(min = 1))]
    offset: u32,
    /// How many lines to read at most.
    #[serde(default = "page_lines")]
    #[schemars(range(min = 1))]
    limit: u32,
}

fn first_line() -> u32 {
    1
}

fn page_lines() -> u32 {
    2_000
}

#[async_trait]
impl TypedTool for FsRead {
    type Args = Args;
    const NAME: &'static str = "fs_read";
    const DESCRIPTION: &'static str = "Read a text file. Returns its lines from `offset` on, how many it has \
        in all (totalLines), and whether there is more (truncated); read on with offset + lines. Read a file \
        before you change it.";
    const TRAITS: ToolTraits = ToolTraits { readonly: true, replayable: true, ..ToolTraits::NONE };

    async fn run(&self, cx: &ToolCx, args: Args) -> Result<Value, ToolError> {
        let text = text(cx, &args.path).await?;
        let skip = (args.offset.max(1) - 1) as usize;
        let page = page(&text, skip, args.limit.max(1) as usize, PAGE_MAX);
        if skip > 0 && skip >= page.total {
            return Err(beyond(&args.path, args.offset, page.total));
        }
        Ok(json!({
            "path": args.path,
            "content": page.content,
            "offset": skip + 1,
            "lines": page.lines,
            "totalLines": page.total,
            "truncated": page.truncated,
        }))
    }
}

/// A file's text, or that of a kept result of this agent's.
async fn text(cx: &ToolCx, path: &str) -> Result<String, ToolError> {
    if let Some(call) = path.strip_prefix(RESULTS) {
        return kept(cx, call).await;
    }
    let bytes = cx.workspace.read(path, FILE_MAX).await.map_err(of_file)?;
    if is_binary(&bytes) {
        return Err(ToolError::new("binary", format!("{path} is a binary file"))
            .hint("only text files can be read; look for a text form of it"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn beyond(path: &str, offset: u32, total: usize) -> ToolError {
    ToolError::new("beyond_end", format!("{path} has {total} lines, there is no line {offset}"))
        .hint("use an offset within the file")
}
