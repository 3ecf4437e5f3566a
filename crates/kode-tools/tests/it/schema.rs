//! What the model is told of the tools, as it is told.

use std::collections::BTreeSet;

use kode_core::tool::ToolTraits;
use serde_json::{Value, json};

use crate::support::tool;

#[test]
fn the_specs_are_as_committed() {
    let specs: Vec<Value> = kode_tools::builtin()
        .iter()
        .map(|tool| {
            let spec = tool.spec();
            json!({"name": spec.name, "description": spec.description, "schema": spec.input_schema})
        })
        .collect();
    insta::assert_json_snapshot!("specs", specs);
}

/// Every object in a schema, with the place where it stands.
fn objects(place: &str, schema: &Value, seen: &mut dyn FnMut(&str, &Value)) {
    seen(place, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        objects(&format!("{place}.{name}"), property, seen);
    }
    if let Some(items) = schema.get("items") {
        objects(&format!("{place}[]"), items, seen);
    }
}

#[test]
fn schemas_are_complete_and_without_references() {
    for tool in kode_tools::builtin() {
        let spec = tool.spec();
        let mut told = BTreeSet::new();
        objects(&spec.name, &spec.input_schema, &mut |place, schema| {
            assert!(schema.get("$ref").is_none() && schema.get("$defs").is_none(), "{place}");
            let top = place == spec.name;
            assert_ne!(
                schema.get("description").is_some(),
                top,
                "{place}: told, save where the tool tells it"
            );
            assert!(schema.get("oneOf").is_none() && schema["type"] != "null", "{place}");
            if schema["type"] == "object" {
                assert!(schema["properties"].is_object(), "{place}");
                assert_eq!(schema["additionalProperties"], false, "{place}");
            }
            if schema["type"] == "array" {
                assert!(schema["items"]["type"].is_string(), "{place}");
            }
            assert!(told.insert(place.to_owned()), "{place} twice");
        });
    }
}

#[test]
fn required_parameters_are_those_that_have_no_default() {
    let required = |name: &str| tool(name).spec().input_schema.get("required").cloned().unwrap_or(json!([]));
    let wanted = [
        ("fs_read", json!(["path"])),
        ("fs_write", json!(["path", "content"])),
        ("fs_edit", json!(["path", "old_string", "new_string"])),
        ("fs_multi_edit", json!(["edits"])),
        ("fs_glob", json!(["pattern"])),
        ("fs_grep", json!(["pattern", "path"])),
        ("bash_run", json!(["cmd"])),
        ("bash_logs", json!(["shell_id"])),
        ("bash_kill", json!(["shell_id"])),
        ("todo_read", json!([])),
        ("todo_write", json!(["todos"])),
    ];
    assert_eq!(wanted.clone().map(|(name, _)| (name, required(name))), wanted);
}

#[test]
fn g3_only_what_may_run_twice_says_so() {
    let traits = |name| {
        let ToolTraits { readonly, replayable, .. } = tool(name).traits();
        (name, readonly, replayable)
    };
    let wanted = [
        ("fs_read", true, true),
        ("fs_write", false, false),
        ("fs_edit", false, false),
        ("fs_multi_edit", false, false),
        ("fs_glob", true, true),
        ("fs_grep", true, true),
        ("bash_run", false, false),
        ("bash_logs", true, true),
        ("bash_kill", false, true),
        ("todo_read", true, true),
        ("todo_write", false, true),
    ];
    assert_eq!(wanted.map(|(name, ..)| traits(name)), wanted);
    let processes = kode_tools::builtin().into_iter().filter(|tool| tool.traits().processes);
    assert_eq!(processes.map(|tool| tool.spec().name).collect::<Vec<_>>(), ["bash_run"]);
}
