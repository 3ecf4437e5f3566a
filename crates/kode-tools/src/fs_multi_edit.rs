//! `fs_multi_edit`: many edits, in order; all or nothing in each file.

use async_trait::async_trait;
use kode_core::tool::{ToolCx, ToolError, TypedTool};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::edit::{DIFF_MAX, Edit, apply, diff, load};
use crate::failure::of_file;
use crate::offload::offload;
use crate::text::told;

/// Most edits in one call.
const EDITS_MAX: usize = 200;

/// Edits many places.
#[derive(Debug, Clone, Copy)]
pub struct FsMultiEdit;

/// What to replace.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// The edits. Those of one file are applied in this order, each to what the ones before it made.
    #[schemars(length(min = 1, max = 200))]
    edits: Vec<OneEdit>,
}

/// One edit.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OneEdit {
    /// The file, relative to the work directory.
    path: String,
    /// The exact text to replace, with its white space; it must occur exactly once unless replace_all is set.
    find: String,
    /// The text to put in its place, taken literally.
    replace: String,
    /// Replace every occurrence.
    #[serde(default)]
    replace_all: bool,
}

/// How an edit went.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum Outcome {
    /// It was made.
    Ok { replacements: usize },
    /// It could have been made, but another edit of the same file could not.
    Skipped { message: &'static str },
    /// It could not be made.
    Error { code: String, message: String, hint: Option<String> },
}

impl From<ToolError> for Outcome {
    fn from(ToolError { code, message, hint }: ToolError) -> Self {
        Self::Error { code, message, hint }
    }
}

const NOT_WRITTEN: Outcome =
    Outcome::Skipped { message: "nothing was written to this file, as another edit of it failed" };

#[async_trait]
impl TypedTool for FsMultiEdit {
    type Args = Args;
    const NAME: &'static str = "fs_multi_edit";
    const DESCRIPTION: &'static str = "Make many replacements in one or more files. Each works as in \
        fs_edit. If one edit of a file fails, that file is left as it was and its other edits are skipped; \
        other files are still edited. Returns how each edit went, and a unified diff of each file written.";

    async fn run(&self, cx: &ToolCx, args: Args) -> Result<Value, ToolError> {
        if args.edits.is_empty() || args.edits.len() > EDITS_MAX {
            return Err(ToolError::new("invalid_arguments", format!("edits has {} items", args.edits.len()))
                .hint(format!("give 1 to {EDITS_MAX} edits")));
        }
        let mut report = Report::new(&args.edits);
        for (path, indexes) in by_file(&args.edits) {
            let edits = indexes.iter().map(|index| args.edits[*index].clone()).collect();
            report.note(path, &indexes, edit_file(cx, path, edits).await?);
        }
        Ok(report.into_value())
    }
}

/// The edits of each file, by index, files in the order in which they are first named.
fn by_file(edits: &[OneEdit]) -> Vec<(&str, Vec<usize>)> {
    let mut files: Vec<(&str, Vec<usize>)> = Vec::new();
    for (index, edit) in edits.iter().enumerate() {
        match files.iter_mut().find(|(path, _)| same_file(path, &edit.path)) {
            Some((_, indexes)) => indexes.push(index),
            None => files.push((&edit.path, vec![index])),
        }
    }
    files
}

/// Whether two paths are the same but for empty and `.` steps.
fn same_file(a: &str, b: &str) -> bool {
    let steps = |path: &str| -> Vec<String> {
        path.split('/').filter(|step| !step.is_empty() && *step != ".").map(str::to_owned).collect()
    };
    a.starts_with('/') == b.starts_with('/') && steps(a) == steps(b)
}

/// What became of one file: an outcome for each of its edits, and its diff where it was written.
struct Done {
    outcomes: Vec<Outcome>,
    diff: Option<String>,
}

impl Done {
    fn failed(error: &ToolError, edits: usize) -> Self {
        Self { outcomes: vec![error.clone().into(); edits], diff: None }
    }
}

/// An error here ends the whole call; what can be wrong with the file is in the outcomes.
async fn edit_file(cx: &ToolCx, path: &str, edits: Vec<OneEdit>) -> Result<Done, ToolError> {
    let count = edits.len();
    let old = match load(cx, path).await {
        Ok(old) => old,
        Err(e) => return Ok(Done::failed(&e, count)),
    };
    let shown = path.to_owned();
    let (outcomes, new) = offload(cx, move || plan(&shown, &old, edits)).await?;
    let Some((new, diff)) = new else { return Ok(Done { outcomes, diff: None }) };
    match cx.workspace.write(path, new.as_bytes()).await.map_err(of_file) {
        Ok(()) => Ok(Done { outcomes, diff: Some(diff) }),
        Err(e) => Ok(Done::failed(&e, count)),
    }
}

/// The outcomes, and the new text with its diff if every edit can be made.
fn plan(path: &str, old: &str, edits: Vec<OneEdit>) -> (Vec<Outcome>, Option<(String, String)>) {
    let count = edits.len();
    let (mut text, mut outcomes) = (old.to_owned(), Vec::new());
    for (index, edit) in edits.into_iter().enumerate() {
        let edit = Edit { find: edit.find, replace: edit.replace, all: edit.replace_all };
        match apply(path, &text, &edit) {
            Ok((new, replacements)) => {
                text = new;
                outcomes.push(Outcome::Ok { replacements });
            }
            Err(error) => {
                let mut outcomes = vec![NOT_WRITTEN; count];
                outcomes[index] = error.into();
                return (outcomes, None);
            }
        }
    }
    let diff = diff(path, old, &text, DIFF_MAX);
    (outcomes, Some((text, diff)))
}

/// The result as it grows.
struct Report {
    results: Vec<Value>,
    files: Vec<Value>,
    complete: bool,
    /// Bytes of diff that may still be shown.
    room: usize,
}

impl Report {
    fn new(edits: &[OneEdit]) -> Self {
        let results = edits.iter().map(|edit| json!({ "path": edit.path })).collect();
        Self { results, files: Vec::new(), complete: true, room: 2 * DIFF_MAX }
    }

    fn note(&mut self, path: &str, indexes: &[usize], done: Done) {
        for (index, outcome) in indexes.iter().zip(done.outcomes) {
            self.complete &= matches!(outcome, Outcome::Ok { .. });
            let told = json!(outcome);
            let fields = told.as_object().into_iter().flatten();
            for (name, value) in fields.filter(|(_, value)| !value.is_null()) {
                self.results[*index][name] = value.clone();
            }
        }
        let Some(diff) = done.diff else { return };
        let shown = if told(&diff) <= self.room { diff } else { "[left out: too many changes]\n".into() };
        self.room = self.room.saturating_sub(told(&shown));
        self.files.push(json!({ "path": path, "diff": shown }));
    }

    fn into_value(self) -> Value {
        json!({ "ok": self.complete, "results": self.results, "files": self.files })
    }
}
