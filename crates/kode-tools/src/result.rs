//! A kept result as a text that can be read by lines: a JSON document has its parts and the line breaks within its
//! texts laid out, and a line that is too long for a page is broken. No files here.

use kode_core::id::CallId;
use kode_core::tool::{ToolCx, ToolError};
use serde_json::Value;

use crate::offload::offload;

/// Longest line that is left as it is, in bytes: some of them make a page.
const LINE_MAX: usize = 4 * 1024;

/// A kept result. Only the agent's own host is asked, so another agent's is out of reach.
pub(crate) async fn kept(cx: &ToolCx, call: &str) -> Result<String, ToolError> {
    let read = cx.host.read_result(&CallId::new(call)).await;
    let bytes = read.map_err(|error| {
        ToolError::new("io", format!("the result of {call} cannot be read now: {error}"))
            .hint("try once more; if it fails again, tell the user")
    })?;
    let Some(bytes) = bytes else {
        return Err(ToolError::new("not_found", format!("no result of {call} is kept"))
            .hint("use the path that the cut result names; if it is gone, call the tool again"));
    };
    offload(cx, move || laid_out(&bytes)).await
}

/// A result laid out. The same bytes are always laid out the same, so that a line keeps its number.
fn laid_out(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let document =
        serde_json::from_str::<Value>(&text).ok().filter(|value| value.is_object() || value.is_array());
    let lines = match document.map(|value| serde_json::to_string_pretty(&value)) {
        Some(Ok(pretty)) => broken_within_texts(&pretty),
        Some(Err(_)) | None => text.into_owned(),
    };
    lines.split_inclusive('\n').flat_map(short).collect::<Vec<_>>().join("")
}

/// JSON with each escaped line break as one. It is for reading: no JSON any more.
fn broken_within_texts(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut chars = json.chars();
    while let Some(char) = chars.next() {
        match (char, if char == '\\' { chars.next() } else { None }) {
            ('\\', Some('n')) => out.push('\n'),
            (char, escaped) => {
                out.push(char);
                out.extend(escaped);
            }
        }
    }
    out
}

/// A line in pieces of at most [`LINE_MAX`] bytes, each but the last with a line break.
fn short(line: &str) -> Vec<String> {
    let (mut rest, mut pieces) = (line, Vec::new());
    while rest.len() > LINE_MAX {
        let (piece, behind) = rest.split_at(rest.floor_char_boundary(LINE_MAX));
        if behind == "\n" {
            break;
        }
        pieces.push(format!("{piece}\n"));
        rest = behind;
    }
    pieces.push(rest.to_owned());
    pieces
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_read_by_lines() {
        let result = json!({ "code": 0, "stdout": "one\ntwo \"\\n\"\n", "lines": [1, 2] }).to_string();
        let expected = "{\n  \"code\": 0,\n  \"lines\": [\n    1,\n    2\n  ],\n  \"stdout\": \"one\ntwo \\\"\\\\n\\\"\n\"\n}";
        assert_eq!(laid_out(result.as_bytes()), expected);
    }

    #[test]
    fn plain_text_stays_as_it_is_and_long_lines_are_broken() {
        assert_eq!(laid_out(b"a\r\nb\n"), "a\r\nb\n");
        assert_eq!(laid_out(b"\"one text\""), "\"one text\"");
        let long = format!("{}\n{}ä{}\nend", "x".repeat(LINE_MAX), "y".repeat(LINE_MAX - 1), "z".repeat(9));
        let broken: Vec<usize> = laid_out(long.as_bytes()).lines().map(str::len).collect();
        assert_eq!(broken, [LINE_MAX, LINE_MAX - 1, 11, 3]);
        let whole = laid_out(long.as_bytes()).replace('\n', "");
        assert_eq!(whole, long.replace('\n', ""), "nothing is lost");
    }

    #[test]
    fn half_a_document_is_read_as_text() {
        assert_eq!(laid_out(b"{\"a\": [1, "), "{\"a\": [1, ");
    }
}
