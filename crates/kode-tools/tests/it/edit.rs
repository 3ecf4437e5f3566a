//! `fs_edit`.

use serde_json::{Value, json};

use crate::support::stages;

fn edit(old: &str, new: &str) -> Value {
    json!({"path": "f", "old_string": old, "new_string": new})
}

/// Scenario 40. In upstream a `$` of the new text is a pattern of the regex engine [S].
#[tokio::test]
async fn one_match_is_replaced_and_shown_as_a_diff() {
    for stage in stages(&[("f", "a\nb\nc\nd\ne\n")]).await {
        let diff = "--- f\n+++ f\n@@ -1,5 +1,5 @@\n a\n b\n-c\n+C $1\n d\n e\n";
        let done = json!({"path": "f", "replacements": 1, "diff": diff});
        assert_eq!(stage.ok("fs_edit", edit("c\n", "C $1\n")).await, done);
        assert_eq!(stage.text("f").await, "a\nb\nC $1\nd\ne\n");
    }
}

#[tokio::test]
async fn many_matches_need_replace_all() {
    for stage in stages(&[("f", "x\n.\nx x\n")]).await {
        let told = "the text to replace occurs 3 times in f (lines 1, 3, 3)\n\
                    take in more of the lines around it, so that it occurs once, or set replace_all";
        assert_eq!(stage.refused("fs_edit", edit("x", "y")).await, ("many_matches".into(), told.into()));
        assert_eq!(stage.text("f").await, "x\n.\nx x\n");
        let all = json!({"path": "f", "old_string": "x", "new_string": "y", "replace_all": true});
        assert_eq!(stage.ok("fs_edit", all).await["replacements"], 3);
        assert_eq!(stage.text("f").await, "y\n.\ny y\n");
    }
}

#[tokio::test]
async fn what_does_not_fit_is_told_and_changes_nothing() {
    for stage in stages(&[("f", "a\r\nb\r\n")]).await {
        let cases = [
            (
                edit("z", "y"),
                "no_match",
                "the text to replace occurs 0 times in f\n\
                 read the file again with fs_read and copy the text exactly, with its white space",
            ),
            (
                edit("a\nb", "y"),
                "no_match",
                "the text to replace occurs 0 times in f\n\
                 the lines of this file end in \\r\\n; write them so, or replace within one line",
            ),
            (
                edit("", "y"),
                "empty_search",
                "the text to replace is empty\n\
                 give the exact text to replace, or write the whole file with fs_write",
            ),
            (
                edit("a", "a"),
                "no_change",
                "the new text is the same as the old one\n\
                 give a new text that differs, or leave the edit out",
            ),
        ];
        for (input, code, told) in cases {
            assert_eq!(stage.refused("fs_edit", input).await, (code.into(), told.into()));
        }
        assert_eq!(stage.text("f").await, "a\r\nb\r\n");
    }
}

#[tokio::test]
async fn what_is_not_text_is_left_alone() {
    for stage in stages(&[]).await {
        for bytes in [b"a\0b".as_slice(), b"caf\xe9"] {
            stage.change("f", bytes).await;
            assert_eq!(stage.refused("fs_edit", edit("a", "b")).await.0, "not_text");
            assert_eq!(stage.other.read("f", 99).await.unwrap(), bytes);
        }
    }
}

#[tokio::test]
async fn an_edit_works_on_what_is_there_now() {
    for stage in stages(&[("f", "old\n")]).await {
        stage.ok("fs_read", json!({"path": "f"})).await;
        stage.change("f", "line by a person\nold\n").await;
        stage.ok("fs_edit", edit("old", "new")).await;
        assert_eq!(stage.text("f").await, "line by a person\nnew\n");
    }
}
