//! No result outgrows what the runtime keeps whole (64 KiB).

use kode_testkit::workspace::MemoryWorkspace;
use serde_json::{Value, json};

use crate::support::over;

const KEPT_WHOLE: usize = 64 * 1024;

#[tokio::test]
async fn g10_results_are_bounded_whatever_the_files_and_the_limits_asked() {
    let lines = "a line of text, with \"quotes\"\n".repeat(20_000);
    let work = (0..3_000)
        .fold(MemoryWorkspace::new(), |work, n| work.with(&format!("{}/{n}", "long-name/".repeat(8)), "x"));
    let stage = over(work.with("big", &lines).with("edit", "x\n".repeat(20_000)));
    let most = u32::MAX;
    let edits: Vec<Value> = (0..9)
        .map(|n| json!({"path": format!("new{n}"), "find": "x", "replace": "yy", "replace_all": true}))
        .collect();
    for n in 0..9 {
        stage.change(&format!("new{n}"), "x\n".repeat(5_000)).await;
    }
    let calls = [
        ("fs_read", json!({"path": "big", "limit": most})),
        ("fs_glob", json!({"pattern": "**", "limit": most})),
        ("fs_grep", json!({"pattern": "e", "path": ".", "max_results": most})),
        ("fs_edit", json!({"path": "edit", "old_string": "x", "new_string": "y", "replace_all": true})),
        ("fs_multi_edit", json!({"edits": edits})),
    ];
    stage.change("control", "\u{1}".repeat(40_000)).await;
    let control = stage.ok("fs_read", json!({"path": "control"})).await;
    assert!(control.to_string().len() < KEPT_WHOLE && control["truncated"] == json!(true));
    for (tool, input) in calls {
        let result = stage.ok(tool, input).await;
        let size = result.to_string().len();
        assert!((8 * 1024..KEPT_WHOLE).contains(&size), "{tool}: {size}");
        assert_ne!(result["truncated"], json!(false), "{tool}");
    }
}
