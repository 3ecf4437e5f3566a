//! `fs_write`.

use kode_core::sandbox::FileError;
use kode_testkit::workspace::MemoryWorkspace;
use serde_json::json;

use crate::support::{over, stages};

#[tokio::test]
async fn a_file_is_made_with_its_directories_and_then_replaced() {
    for stage in stages(&[]).await {
        let input = json!({"path": "a/b/ü.txt", "content": "grün\n"});
        let made = json!({"path": "a/b/ü.txt", "bytes": 6, "created": true});
        assert_eq!(stage.ok("fs_write", input.clone()).await, made);
        let replaced = json!({"path": "a/b/ü.txt", "bytes": 6, "created": false});
        assert_eq!(stage.ok("fs_write", input).await, replaced);
        assert_eq!(stage.text("a/b/ü.txt").await, "grün\n");
    }
}

/// Scenario 38.
#[tokio::test]
async fn a_change_by_somebody_else_is_not_overwritten_until_it_was_read() {
    for stage in stages(&[("f", "one\n")]).await {
        stage.ok("fs_read", json!({"path": "f"})).await;
        stage.change("f", "by a person\n").await;
        let write = json!({"path": "f", "content": "by the agent\n"});
        let told = "f was changed by something else since it was last read\n\
                    read it again with fs_read, then decide whether your change still fits";
        assert_eq!(stage.refused("fs_write", write.clone()).await, ("changed".into(), told.into()));
        assert_eq!(stage.text("f").await, "by a person\n");

        stage.ok("fs_read", json!({"path": "f"})).await;
        stage.ok("fs_write", write.clone()).await;
        stage.ok("fs_write", write).await;
        assert_eq!(stage.text("f").await, "by the agent\n");
    }
}

#[tokio::test]
async fn ways_out_are_refused_by_every_tool_that_takes_a_path() {
    for stage in stages(&[("dir/f", "x")]).await {
        for path in ["../out", "/etc/passwd", "~/x", "dir/../../out"] {
            let calls = [
                ("fs_read", json!({"path": path})),
                ("fs_write", json!({"path": path, "content": "x"})),
                ("fs_edit", json!({"path": path, "old_string": "x", "new_string": "y"})),
                ("fs_glob", json!({"pattern": "**", "cwd": path})),
                ("fs_grep", json!({"pattern": "x", "path": path})),
            ];
            for (tool, input) in calls {
                assert_eq!(stage.refused(tool, input).await.0, "outside", "{tool} {path} on {}", stage.name);
            }
            let edits = json!({"edits": [{"path": path, "find": "x", "replace": "y"}]});
            assert_eq!(stage.ok("fs_multi_edit", edits).await["results"][0]["code"], "outside");
        }
    }
}

#[tokio::test]
async fn other_refusals_have_their_own_codes() {
    let io = FileError::Io { path: "broken".into(), why: "input/output error".into() };
    let work = MemoryWorkspace::new()
        .with("dir/f", "")
        .protecting(".git/hooks")
        .failing("full", FileError::NoSpace("full".into()))
        .failing("broken", io);
    let stage = over(work);
    let paths = [
        ("dir", "wrong_kind"),
        (".git/hooks/x", "protected"),
        ("full", "no_space"),
        ("broken", "io"),
        ("", "bad_path"),
    ];
    for (path, code) in paths {
        assert_eq!(stage.refused("fs_write", json!({"path": path, "content": ""})).await.0, code);
    }
}
