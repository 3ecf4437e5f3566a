//! The ways in which a call ends. Each gives the one result that the model reads.

use serde_json::{Value, json};

use crate::call::{Call, CallState};
use crate::fact::{CallProblem, Fact, Stop};
use crate::machine::{Cx, Kept, OpenCall, Settlement};
use crate::tool::RESULTS;

/// Most bytes of a result that the model reads; what is over is cut in the middle.
pub(crate) const RESULT_MAX: usize = 64 * 1024;

/// A value as the model reads it.
pub(crate) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

/// The tool, a hook or nobody (`ran` false) gave a value. `kept`: what of it is kept, where it is too long.
pub(in crate::machine) fn completed(cx: &Cx<'_>, open: &OpenCall, value: Value, kept: Option<Kept>) -> Fact {
    let rest = kept.map_or_else(|| "the rest was not kept".to_owned(), |kept| where_kept(open, kept));
    let (content, cut) = cut_middle(text_of(&value), &rest);
    let mut call = ended(cx, open, CallState::Completed, None);
    call.kept_bytes = kept.filter(|_| cut).map(|kept| kept.bytes);
    // JSON does not tell an optional null from none: a null result is told by its absence.
    call.result = Some(if cut { Value::String(content.clone()) } else { value }).filter(|v| !v.is_null());
    Fact::ToolEnded { ran: open.attempt > 0, call: Box::new(call), content, problem: None }
}

/// The call failed.
pub(in crate::machine) fn failed(cx: &Cx<'_>, open: &OpenCall, problem: CallProblem) -> Fact {
    closed(cx, open, CallState::Failed, problem)
}

/// A person, a hook or policy refused.
pub(in crate::machine) fn denied(cx: &Cx<'_>, open: &OpenCall, why: String) -> Fact {
    let hint = "do not call it again in this way; go on without it or ask the user";
    closed(cx, open, CallState::Denied, problem("denied", why, hint))
}

/// A person allowed it, and meanwhile the template's policy became one that was not asked.
pub(in crate::machine) fn outdated(cx: &Cx<'_>, open: &OpenCall) -> Fact {
    let why =
        format!("{} was allowed under other rules than those in force, so it was not run", open.call.name);
    closed(cx, open, CallState::Denied, problem("rules_changed", why, "call it again if it is still wanted"))
}

/// The tool did not come back in time. It may still be at work, so its effects are not known.
pub(in crate::machine) fn timed_out(cx: &Cx<'_>, open: &OpenCall) -> Fact {
    let secs = cx.template.limits.tool_timeout_secs;
    let why = format!(
        "{} did not end within {secs} s and was stopped; it may have taken effect in part",
        open.call.name
    );
    failed(
        cx,
        open,
        problem("timeout", why, "check what was done before you call it again, or ask for less at once"),
    )
}

/// The writer under which the tool ran is gone: nobody knows how it ended.
pub(in crate::machine) fn unknown(cx: &Cx<'_>, open: &OpenCall) -> Fact {
    let why = format!(
        "the server stopped while {} was running; whether it took effect is unknown, and it was not run again",
        open.call.name
    );
    closed(
        cx,
        open,
        CallState::Sealed,
        problem("unknown_outcome", why, "check what was done before you call it again"),
    )
}

/// The host said what became of a call that ran when its writer ended.
pub(in crate::machine) fn settled(cx: &Cx<'_>, open: &OpenCall, outcome: Settlement, by: &str) -> Fact {
    let note = Some(format!("settled by {by}"));
    let open = OpenCall { call: open.call.clone().entering(open.call.state, cx.now, note), ..open.clone() };
    match outcome {
        Settlement::Done(value) => completed(cx, &open, value, None),
        Settlement::Failed(error) => failed(cx, &open, error.into()),
        Settlement::Unknown => unknown(cx, &open),
    }
}

/// The run was stopped.
pub(in crate::machine) fn stopped(cx: &Cx<'_>, open: &OpenCall, stop: &Stop) -> Fact {
    let cause = match stop {
        Stop::Interrupt { note: Some(note), .. } => format!("the run was interrupted ({note})"),
        Stop::Interrupt { note: None, .. } => "the run was interrupted".to_owned(),
        Stop::Limit { problem } => format!("the run was stopped: {}", problem.message),
    };
    let (code, effect, hint) = if open.attempt > 0 {
        ("interrupted", "it was running and may have taken effect in part", "check before you call it again")
    } else {
        ("not_started", "it was not run", "call it again if it is still wanted")
    };
    closed(cx, open, CallState::Sealed, problem(code, format!("{cause}; {effect}"), hint))
}

fn closed(cx: &Cx<'_>, open: &OpenCall, state: CallState, problem: CallProblem) -> Fact {
    let (message, _) = cut_middle(problem.message, "the rest was not kept");
    let problem = CallProblem { message, ..problem };
    let mut call = ended(cx, open, state, Some(problem.code.clone()));
    call.is_error = true;
    call.error = Some(problem.message.clone());
    let content = told(&problem);
    Fact::ToolEnded { ran: open.attempt > 0, call: Box::new(call), content, problem: Some(problem) }
}

fn ended(cx: &Cx<'_>, open: &OpenCall, state: CallState, note: Option<String>) -> Call {
    let mut call = open.call.clone().entering(state, cx.now, note);
    call.sandbox = level(cx, open);
    call.completed_at = Some(cx.now);
    call.duration_ms = call.started_at.map(|at| cx.now.saturating_sub(at));
    call
}

/// The level at which the call ran. What an older writer's processes ran at is not known.
fn level(cx: &Cx<'_>, open: &OpenCall) -> Option<String> {
    let ran = open.attempt > 0 && open.epoch == cx.epoch;
    (ran && open.traits.is_some_and(|traits| traits.processes)).then(|| cx.sandbox.to_owned())
}

/// A problem as the model reads it.
fn told(problem: &CallProblem) -> String {
    json!({ "ok": false, "code": problem.code, "error": problem.message, "hint": problem.hint }).to_string()
}

fn problem(code: &str, message: String, hint: &str) -> CallProblem {
    CallProblem { code: code.into(), message, hint: Some(hint.into()) }
}

/// How the model gets at what it was not given.
fn where_kept(open: &OpenCall, kept: Kept) -> String {
    let what = if kept.whole {
        "all of it is kept".to_owned()
    } else {
        format!("its first {} bytes are kept", kept.bytes)
    };
    format!("{what}, to be read in parts as the file {RESULTS}{}", open.call.id)
}

/// Keeps head and tail of what is too long, and says so between them, with a word on the rest.
fn cut_middle(text: String, rest: &str) -> (String, bool) {
    if text.len() <= RESULT_MAX {
        return (text, false);
    }
    let head = text.floor_char_boundary(RESULT_MAX * 3 / 4);
    let tail = text.ceil_char_boundary(text.len() - RESULT_MAX / 4);
    let note = format!("\n… {} bytes were left out here; {rest} …\n", tail - head);
    ([&text[..head], &note, &text[tail..]].concat(), true)
}
