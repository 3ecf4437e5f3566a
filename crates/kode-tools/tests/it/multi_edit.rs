//! `fs_multi_edit`.

use kode_core::sandbox::FileError;
use kode_testkit::workspace::MemoryWorkspace;
use serde_json::{Value, json};

use crate::support::{over, stages};

fn edit(path: &str, find: &str, replace: &str) -> Value {
    json!({"path": path, "find": find, "replace": replace})
}

#[tokio::test]
async fn edits_of_a_file_build_on_each_other() {
    for stage in stages(&[("f", "one\ntwo\n"), ("g", "x x\n")]).await {
        let all = json!({"path": "g", "find": "x", "replace": "y", "replace_all": true});
        let edits = json!({"edits": [edit("f", "one", "1"), all, edit("./f", "1\ntwo", "1 2")]});
        let done = json!({
            "ok": true,
            "results": [
                {"path": "f", "status": "ok", "replacements": 1},
                {"path": "g", "status": "ok", "replacements": 2},
                {"path": "./f", "status": "ok", "replacements": 1},
            ],
            "files": [
                {"path": "f", "diff": "--- f\n+++ f\n@@ -1,2 +1 @@\n-one\n-two\n+1 2\n"},
                {"path": "g", "diff": "--- g\n+++ g\n@@ -1 +1 @@\n-x x\n+y y\n"},
            ],
        });
        assert_eq!(stage.ok("fs_multi_edit", edits).await, done);
        assert_eq!((stage.text("f").await, stage.text("g").await), ("1 2\n".into(), "y y\n".into()));
    }
}

#[tokio::test]
async fn a_file_is_edited_whole_or_not_at_all_and_the_others_go_on() {
    for stage in stages(&[("f", "one two\n"), ("g", "three\n")]).await {
        let edits = json!({"edits": [
            edit("f", "one", "1"),
            edit("f", "none", "0"),
            edit("f", "two", "2"),
            edit("g", "three", "3"),
            edit("h", "x", "y"),
        ]});
        let skipped = "nothing was written to this file, as another edit of it failed";
        let done = json!({
            "ok": false,
            "results": [
                {"path": "f", "status": "skipped", "message": skipped},
                {
                    "path": "f", "status": "error", "code": "no_match",
                    "message": "the text to replace occurs 0 times in f",
                    "hint": "read the file again with fs_read and copy the text exactly, with its white space",
                },
                {"path": "f", "status": "skipped", "message": skipped},
                {"path": "g", "status": "ok", "replacements": 1},
                {
                    "path": "h", "status": "error", "code": "not_found", "message": "h does not exist",
                    "hint": "look for it with fs_glob; paths are relative to the work directory",
                },
            ],
            "files": [{"path": "g", "diff": "--- g\n+++ g\n@@ -1 +1 @@\n-three\n+3\n"}],
        });
        assert_eq!(stage.ok("fs_multi_edit", edits).await, done);
        assert_eq!((stage.text("f").await, stage.text("g").await), ("one two\n".into(), "3\n".into()));
    }
}

#[tokio::test]
async fn a_write_that_fails_is_the_error_of_each_edit_of_its_file() {
    let protected = MemoryWorkspace::new().with(".envrc", "a b").with("g", "a").protecting(".envrc");
    let stage = over(protected);
    let edits = json!({"edits": [edit(".envrc", "a", "1"), edit("g", "a", "1"), edit(".envrc", "b", "2")]});
    let done = stage.ok("fs_multi_edit", edits).await;
    let codes: Vec<_> = done["results"].as_array().unwrap().iter().map(|one| one["code"].as_str()).collect();
    assert_eq!(codes, [Some("protected"), None, Some("protected")]);
    assert_eq!((stage.text(".envrc").await, stage.text("g").await), ("a b".into(), "1".into()));
    assert_eq!(
        stage.other.write(".envrc", b"").await,
        Ok::<(), FileError>(()),
        "it is the tool that was refused"
    );
}

#[tokio::test]
async fn none_and_too_many_edits_are_refused() {
    for stage in stages(&[]).await {
        for count in [0, 201] {
            let edits = vec![edit("f", "a", "b"); count];
            let (code, told) = stage.refused("fs_multi_edit", json!({"edits": edits})).await;
            assert_eq!(code, "invalid_arguments");
            assert_eq!(told, format!("edits has {count} items\ngive 1 to 200 edits"));
        }
    }
}
