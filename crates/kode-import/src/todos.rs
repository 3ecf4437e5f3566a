//! Upstream's todo list as one that keeps our rules.

use std::collections::BTreeSet;

use kode_core::todo::{Todo, TodoList, TodoStatus};
use serde_json::Value;

use crate::note::Notes;

/// The list of `todos.json`. Each item comes over; what breaks a rule is mended.
pub(crate) fn list(document: &Value, notes: &mut Notes) -> TodoList {
    let items = document["todos"].as_array().map_or(&[][..], Vec::as_slice);
    let mut seen = BTreeSet::new();
    let mut busy = false;
    let mut todos = Vec::with_capacity(items.len());
    for (item, number) in items.iter().zip(1..) {
        let mut todo = Todo {
            id: free_id(item, number, &seen, notes),
            title: title(item, number, notes),
            status: status(item, number, notes),
            assignee: text(&item["assignee"]),
            notes: text(&item["notes"]),
        };
        if todo.status == TodoStatus::InProgress && std::mem::replace(&mut busy, true) {
            notes.mended(format!("todo {number} was in progress beside another one; it is pending"));
            todo.status = TodoStatus::Pending;
        }
        seen.insert(todo.id.clone());
        todos.push(todo);
    }
    TodoList { todos, version: document["version"].as_u64().unwrap_or(0) }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(ToOwned::to_owned)
}

/// The item's own id, or one that is free.
fn free_id(item: &Value, number: usize, seen: &BTreeSet<String>, notes: &mut Notes) -> String {
    let own = text(&item["id"]).filter(|id| !id.is_empty());
    if let Some(id) = own.as_ref().filter(|id| !seen.contains(*id)) {
        return id.clone();
    }
    notes.mended(format!("todo {number} had no id of its own and was given one"));
    let stem = own.unwrap_or_else(|| "todo".to_owned());
    let mut tries = (number..).map(|n| format!("{stem}-{n}"));
    tries.find(|id| !seen.contains(id)).unwrap_or(stem)
}

fn title(item: &Value, number: usize, notes: &mut Notes) -> String {
    text(&item["title"]).filter(|title| !title.trim().is_empty()).unwrap_or_else(|| {
        notes.mended(format!("todo {number} had no title"));
        "(no title)".to_owned()
    })
}

fn status(item: &Value, number: usize, notes: &mut Notes) -> TodoStatus {
    serde_json::from_value(item["status"].clone()).unwrap_or_else(|_| {
        notes.mended(format!("todo {number} had no status that is known; it is pending"));
        TodoStatus::Pending
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kode_core::todo::check;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(document: &Value) -> (TodoList, usize) {
        let mut notes = Notes::default();
        let list = list(document, &mut notes);
        (list, notes.into_vec().len())
    }

    #[test]
    fn a_good_list_comes_over_as_it_is() {
        let document = json!({ "version": 7, "updatedAt": 1, "todos": [
            { "id": "a", "title": "A", "status": "completed", "createdAt": 1, "updatedAt": 2 },
            { "id": "b", "title": "B", "status": "in_progress", "assignee": "me", "notes": "n" },
        ] });
        let (list, notes) = read(&document);
        assert_eq!((list.version, list.todos.len(), notes), (7, 2, 0));
        assert_eq!(list.todos[1].assignee.as_deref(), Some("me"));
        assert_eq!(check(&list.todos), Ok(()));
    }

    #[test]
    fn each_broken_rule_is_mended_and_told() {
        let document = json!({ "todos": [
            { "id": "a", "title": "A", "status": "in_progress" },
            { "id": "a", "title": " ", "status": "in_progress" },
            { "title": "C", "status": "someday" },
            7,
        ] });
        let (list, notes) = read(&document);
        assert_eq!(check(&list.todos), Ok(()));
        let ids: Vec<_> = list.todos.iter().map(|todo| todo.id.as_str()).collect();
        assert_eq!((ids, notes), (vec!["a", "a-2", "todo-3", "todo-4"], 8));
    }

    proptest! {
        #[test]
        fn any_list_keeps_the_rules(items in prop::collection::vec(item(), 0..8)) {
            let (list, _) = read(&json!({ "todos": items }));
            prop_assert_eq!(list.todos.len(), items.len());
            prop_assert_eq!(check(&list.todos), Ok(()));
        }
    }

    fn item() -> impl Strategy<Value = Value> {
        let id = prop_oneof![
            Just(json!("a")),
            Just(json!("a-2")),
            Just(json!("")),
            Just(json!(null)),
            Just(json!(3))
        ];
        let title = prop_oneof![Just(json!("t")), Just(json!("")), Just(json!(null))];
        let status = prop_oneof![Just(json!("pending")), Just(json!("in_progress")), Just(json!("x"))];
        (id, title, status)
            .prop_map(|(id, title, status)| json!({ "id": id, "title": title, "status": status }))
    }
}
