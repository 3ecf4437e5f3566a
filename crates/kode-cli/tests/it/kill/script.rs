//! The model of the kill test: it answers from the request alone, and asks for work that leaves a trace.
//!
//! `work` writes two files and then changes each, `ask` does the same with a tool that a person must allow: a
//! change adds a line, so a tool that ran twice has left two.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kode_testkit::glm_emulator::{GlmEmulator, Reply, Request};
use serde_json::{Value, json};

/// What each file holds at first, and what a change puts before it.
const END: &str = "END";
pub(crate) const RAN: &str = "ran";

/// Of the templates that come with the command, one that has the tools that are called here, for `kode.toml`.
pub(crate) const TOOLS: &str = "default_template = 'repo-assistant'\n";

/// One answer in so many breaks off.
const BREAKS_OFF: usize = 40;

pub(crate) fn play(glm: &GlmEmulator) {
    let asked = AtomicUsize::new(1);
    glm.respond(move |request| reply(request, asked.fetch_add(1, Ordering::Relaxed)));
}

/// The same at the pace of a model that thinks, so that an end of the server meets a turn under way.
pub(crate) fn play_slowly(glm: &GlmEmulator, gap: Duration) {
    let asked = AtomicUsize::new(1);
    glm.respond(move |request| reply(request, asked.fetch_add(1, Ordering::Relaxed)).paced(gap));
}

fn reply(request: &Request, number: usize) -> Reply {
    if number.is_multiple_of(BREAKS_OFF) {
        return Reply::text("an answer that breaks off").pieces(4).cut_after(2);
    }
    let messages = request.body["messages"].as_array().expect("a request has messages");
    let asked = messages.iter().rposition(|m| m["role"] == "user").expect("a request has a user's message");
    let verb =
        messages[asked]["content"].as_str().and_then(|text| text.split(' ').next()).unwrap_or_default();
    let calls: Vec<&Value> =
        messages[asked..].iter().filter_map(|m| m["tool_calls"].as_array()).flatten().collect();
    match (verb, calls.as_slice()) {
        ("work" | "ask", []) => write(number),
        ("work", [first, second]) => change(first).and_call("fs_multi_edit", &multi_edit(&path(second))),
        ("ask", [first, second]) => {
            Reply::call("fs_edit", &edit(&path(first))).and_call("fs_edit", &edit(&path(second)))
        }
        ("todo", []) => Reply::call(
            "todo_write",
            &json!({ "todos": [{ "id": "1", "title": "tea", "status": "pending" }] }),
        ),
        _ => Reply::text("All that was asked is done, word by word, piece by piece.")
            .thinking("That was all.")
            .pieces(6),
    }
}

fn write(number: usize) -> Reply {
    let file = |name: &str| json!({ "path": format!("{number}-{name}.txt"), "content": format!("{END}\n") });
    Reply::call("fs_write", &file("a"))
        .and_call("fs_write", &file("b"))
        .thinking("Two files, then.")
        .pieces(3)
}

fn change(call: &Value) -> Reply {
    Reply::call("fs_multi_edit", &multi_edit(&path(call)))
}

fn multi_edit(path: &str) -> Value {
    json!({ "edits": [{ "path": path, "find": END, "replace": format!("{RAN}\n{END}") }] })
}

fn edit(path: &str) -> Value {
    json!({ "path": path, "old_string": END, "new_string": format!("{RAN}\n{END}") })
}

/// The file that a call was about.
fn path(call: &Value) -> String {
    let arguments = call["function"]["arguments"].as_str().expect("arguments are text");
    let arguments: Value = serde_json::from_str(arguments).expect("arguments are JSON");
    arguments["path"].as_str().expect("the model named a path").to_owned()
}
