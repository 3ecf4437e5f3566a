//! `todo_read` and `todo_write`.

use serde_json::{Value, json};

use crate::support::stages;

fn todo(id: &str, title: &str, status: &str) -> Value {
    json!({"id": id, "title": title, "status": status})
}

#[tokio::test]
async fn a_list_is_written_whole_and_read_back_with_its_version() {
    for stage in stages(&[]).await {
        assert_eq!(stage.ok("todo_read", json!({})).await, json!({"todos": [], "version": 0}));
        let mut first = todo("1", "look", "in_progress");
        first["notes"] = json!("in src");
        let list = json!({"todos": [first, todo("2", "mend", "pending")]});
        let written = stage.ok("todo_write", list.clone()).await;
        assert_eq!(written, json!({"todos": list["todos"], "version": 1}));
        assert_eq!(stage.ok("todo_read", json!({})).await, written);
        stage.ok("todo_write", json!({"todos": []})).await;
        assert_eq!(stage.ok("todo_read", json!({})).await, json!({"todos": [], "version": 2}));
    }
}

#[tokio::test]
async fn a_list_that_breaks_a_rule_is_refused_and_the_old_one_stays() {
    for stage in stages(&[]).await {
        let good = json!({"todos": [todo("1", "look", "pending")]});
        let kept = stage.ok("todo_write", good).await;
        let mend = "mend the list and write the whole of it again";
        let busy = |id| todo(id, "x", "in_progress");
        let many: Vec<Value> = (0..201).map(|n| todo(&n.to_string(), "x", "pending")).collect();
        let cases = [
            (json!([busy("1"), busy("2")]), "2 todos are in_progress; at most one may be"),
            (json!([busy("1"), todo("1", "y", "pending")]), "two todos have the id \"1\"; give each its own"),
            (json!([todo("1", " \t", "pending")]), "todo \"1\" has a blank title; say what is to be done"),
            (json!(many), "201 todos are too many, at most 200 may be"),
        ];
        for (todos, why) in cases {
            let told = stage.refused("todo_write", json!({"todos": todos})).await;
            assert_eq!(told, ("invalid_todos".into(), format!("{why}\n{mend}")));
        }
        let unknown = json!({"todos": [todo("1", "x", "done")]});
        assert_eq!(stage.refused("todo_write", unknown).await.0, "invalid_arguments");
        assert_eq!(stage.ok("todo_read", json!({})).await, kept);
    }
}
