//! `fs_glob`: files by a pattern of their paths.

use async_trait::async_trait;
use globset::{GlobBuilder, GlobMatcher};
use kode_core::sandbox::{FileKind, WalkEntry, WalkOptions};
use kode_core::tool::{ToolCx, ToolError, ToolTraits, TypedTool};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::failure::of_file;
use crate::text::told;

/// Most entries that are looked at.
const LOOKED_AT: usize = 50_000;
/// Most bytes of paths in a result, whatever the limit.
const OUTPUT_MAX: usize = 48 * 1024;

/// Finds files.
#[derive(Debug, Clone, Copy)]
pub struct FsGlob;

/// What to find.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// A pattern of paths below cwd: * and ? within a name, ** over directories, [ab], {a,b}. For example **/*.rs.
    pattern: String,
    /// The directory to look in, relative to the work directory.
    #[serde(default = "here")]
    cwd: String,
    /// Also find names that begin with a dot.
    #[serde(default)]
    dot: bool,
    /// Also find what .gitignore files name.
    #[serde(default)]
    ignored: bool,
    /// How many paths to return at most.
    #[serde(default = "some")]
    #[schemars(range(min = 1))]
    limit: u32,
}

fn here() -> String {
    ".".into()
}

fn some() -> u32 {
    200
}

#[async_trait]
impl TypedTool for FsGlob {
    type Args = Args;
    const NAME: &'static str = "fs_glob";
    const DESCRIPTION: &'static str = "Find files by a pattern of their paths. Returns paths relative to the \
        work directory, sorted; files that .gitignore names are left out. A pattern without ** finds nothing \
        in subdirectories.";
    const TRAITS: ToolTraits = ToolTraits { readonly: true, replayable: true, ..ToolTraits::NONE };

    async fn run(&self, cx: &ToolCx, args: Args) -> Result<Value, ToolError> {
        let pattern = args.pattern.strip_prefix("./").unwrap_or(&args.pattern);
        let glob = compile(pattern)?;
        let base = plain(&args.cwd);
        // A pattern that names a hidden thing means it.
        let hidden = args.dot || pattern.split('/').any(|name| name.starts_with('.'));
        let options = WalkOptions { hidden, ignored: args.ignored };
        let (entries, more) = cx.workspace.walk(&base, options, LOOKED_AT).await.map_err(of_file)?;

        let mut found = Found { room: OUTPUT_MAX, limit: args.limit.max(1) as usize, matches: Vec::new() };
        let mut hits = entries.into_iter().filter(|entry| matches(&glob, &base, entry));
        let cut = !hits.all(|entry| found.take(entry.path));
        Ok(json!({ "matches": found.matches, "truncated": cut || more }))
    }
}

/// The paths so far.
struct Found {
    matches: Vec<String>,
    limit: usize,
    room: usize,
}

impl Found {
    /// Takes a path, or says that there is no more room.
    fn take(&mut self, path: String) -> bool {
        // The quotes and the comma count too.
        let Some(room) = self.room.checked_sub(told(&path) + 3) else { return false };
        if self.matches.len() >= self.limit {
            return false;
        }
        self.room = room;
        self.matches.push(path);
        true
    }
}

fn compile(pattern: &str) -> Result<GlobMatcher, ToolError> {
    if pattern.is_empty() || pattern.starts_with('/') || pattern.split('/').any(|name| name == "..") {
        return Err(ToolError::new(
            "bad_pattern",
            format!("{pattern:?} is not a pattern of paths below cwd"),
        )
        .hint("say where to look with cwd, and give a pattern such as **/*.rs"));
    }
    let glob = GlobBuilder::new(pattern).literal_separator(true).build().map_err(|e| {
        ToolError::new("bad_pattern", e.to_string()).hint("close every [ and {, or escape them with \\")
    })?;
    Ok(glob.compile_matcher())
}

fn matches(glob: &GlobMatcher, base: &str, entry: &WalkEntry) -> bool {
    // A link is listed as one: whether it leads anywhere is seen when it is read.
    let listed = matches!(entry.stat.kind, FileKind::File | FileKind::Symlink);
    let below = if base == "." { Some(entry.path.as_str()) } else { entry.path.strip_prefix(base) };
    listed && below.is_some_and(|path| glob.is_match(path.trim_start_matches('/')))
}

/// A directory's path without empty and `.` steps and with `..` taken back as far as the text goes; the
/// workspace decides about the rest.
fn plain(path: &str) -> String {
    let mut steps: Vec<&str> = Vec::new();
    for step in path.split('/').filter(|step| !step.is_empty() && *step != ".") {
        match steps.last() {
            Some(&last) if step == ".." && last != ".." => drop(steps.pop()),
            _ => steps.push(step),
        }
    }
    let root = if path.starts_with('/') { "/" } else { "" };
    let plain = format!("{root}{}", steps.join("/"));
    if plain.is_empty() { here() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_made_plain_and_never_less_of_an_escape() {
        let cases = [
            (".", "."),
            ("", "."),
            ("./src//", "src"),
            ("a/../src", "src"),
            ("a/..", "."),
            ("../x", "../x"),
            ("a/../../x", "../x"),
            ("/data/./x", "/data/x"),
            ("/..", "/.."),
        ];
        assert_eq!(cases.map(|(path, _)| plain(path)), cases.map(|(_, wanted)| wanted.to_owned()));
    }
}
