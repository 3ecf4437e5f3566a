//! What the editing tools share: replacing text literally, and showing what changed.

use std::time::Duration;

use kode_core::tool::{ToolCx, ToolError};
use similar::TextDiff;

use crate::FILE_MAX;
use crate::failure::of_file;
use crate::text::{head, is_binary, told};

/// Most bytes of a diff that are shown.
pub(crate) const DIFF_MAX: usize = 16 * 1024;
/// How long a smaller diff is looked for; then the one at hand is taken.
const DIFF_TIME: Duration = Duration::from_millis(500);
/// Lines around a change.
const CONTEXT: usize = 3;
/// How many places of an ambiguous text are named.
const PLACES: usize = 10;

/// One replacement, literal: no character in it means anything but itself.
#[derive(Debug, Clone)]
pub(crate) struct Edit {
    pub(crate) find: String,
    pub(crate) replace: String,
    pub(crate) all: bool,
}

/// Reads a file that is to be edited.
pub(crate) async fn load(cx: &ToolCx, path: &str) -> Result<String, ToolError> {
    let bytes = cx.workspace.read(path, FILE_MAX).await.map_err(of_file)?;
    let not_text = || {
        ToolError::new("not_text", format!("{path} is not UTF-8 text")).hint("only text files can be edited")
    };
    if is_binary(&bytes) {
        return Err(not_text());
    }
    String::from_utf8(bytes).map_err(|_| not_text())
}

/// The text after the edit, and how many places it changed.
pub(crate) fn apply(path: &str, text: &str, edit: &Edit) -> Result<(String, usize), ToolError> {
    if edit.find.is_empty() {
        return Err(ToolError::new("empty_search", "the text to replace is empty")
            .hint("give the exact text to replace, or write the whole file with fs_write"));
    }
    if edit.find == edit.replace {
        return Err(ToolError::new("no_change", "the new text is the same as the old one")
            .hint("give a new text that differs, or leave the edit out"));
    }
    match text.matches(&edit.find).count() {
        0 => Err(no_match(path, text, &edit.find)),
        many if many > 1 && !edit.all => Err(many_matches(path, text, &edit.find, many)),
        count => replace(path, text, edit, count),
    }
}

fn replace(path: &str, text: &str, edit: &Edit, count: usize) -> Result<(String, usize), ToolError> {
    let grown = text.len() - count * edit.find.len() + count.saturating_mul(edit.replace.len());
    if grown as u64 > FILE_MAX {
        return Err(ToolError::new("too_large", format!("{path} would have {grown} bytes, over {FILE_MAX}"))
            .hint("replace with less"));
    }
    Ok((text.replace(&edit.find, &edit.replace), count))
}

fn no_match(path: &str, text: &str, find: &str) -> ToolError {
    let hint = if find.contains('\n') && text.contains("\r\n") && !find.contains("\r\n") {
        "the lines of this file end in \\r\\n; write them so, or replace within one line"
    } else {
        "read the file again with fs_read and copy the text exactly, with its white space"
    };
    ToolError::new("no_match", format!("the text to replace occurs 0 times in {path}")).hint(hint)
}

fn many_matches(path: &str, text: &str, find: &str, many: usize) -> ToolError {
    let lines = text.match_indices(find).take(PLACES).map(|(at, _)| line_of(text, at).to_string());
    let lines = lines.collect::<Vec<_>>().join(", ");
    let more = if many > PLACES { ", …" } else { "" };
    let message = format!("the text to replace occurs {many} times in {path} (lines {lines}{more})");
    ToolError::new("many_matches", message)
        .hint("take in more of the lines around it, so that it occurs once, or set replace_all")
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// A unified diff of at most `max` bytes, cut at the end of a line.
pub(crate) fn diff(path: &str, old: &str, new: &str, max: usize) -> String {
    let lines = TextDiff::configure().timeout(DIFF_TIME).diff_lines(old, new);
    let whole = lines.unified_diff().context_radius(CONTEXT).header(path, path).to_string();
    if told(&whole) <= max {
        return whole;
    }
    let shown = head(&whole, max);
    let shown = shown.rfind('\n').map_or("", |end| &shown[..=end]);
    format!("{shown}[{} more bytes of this diff]\n", whole.len() - shown.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn edit(find: &str, replace: &str, all: bool) -> Edit {
        Edit { find: find.into(), replace: replace.into(), all }
    }

    #[test]
    fn nothing_in_either_text_is_special() {
        let applied = apply("f", "a $1 b.* c", &edit("$1 b.*", "$0 \\1 $&", false));
        assert_eq!(applied, Ok(("a $0 \\1 $& c".into(), 1)));
    }

    #[test]
    fn a_file_cannot_be_blown_up() {
        let text = "x".repeat(1_000);
        let refused = apply("f", &text, &edit("x", &"y".repeat(100_000), true));
        assert_eq!(refused.unwrap_err().code, "too_large");
    }

    #[test]
    fn a_long_diff_is_cut_at_a_line_and_says_how_much_is_missing() {
        let (old, new) = ("a\n".repeat(500), "ä\n".repeat(500));
        let cut = diff("f", &old, &new, 100);
        let (shown, note) = cut.trim_end().rsplit_once('\n').unwrap();
        let whole = diff("f", &old, &new, usize::MAX);
        assert!(whole.starts_with(shown) && shown.len() <= 100);
        assert_eq!(note, format!("[{} more bytes of this diff]", whole.len() - shown.len() - 1));
    }

    proptest! {
        #[test]
        fn an_edit_is_accepted_exactly_when_the_text_occurs_once_or_all_are_meant(
            text in "[ab\n]{0,12}", find in "[ab\n]{0,3}", replace in "[abc]{0,3}", all: bool,
        ) {
            let count = if find.is_empty() { 0 } else { text.matches(&find).count() };
            let wanted = (count == 1 || all && count > 1) && find != replace;
            let applied = apply("f", &text, &edit(&find, &replace, all));
            prop_assert_eq!(applied.is_ok(), wanted);
            if let Ok((new, replaced)) = applied {
                prop_assert_eq!((new, replaced), (text.split(&find).collect::<Vec<_>>().join(&replace), count));
            }
        }
    }
}
