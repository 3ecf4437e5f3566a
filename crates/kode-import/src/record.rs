//! Upstream's records of tool calls as ours. A call that was not over there is over here: nobody could resume it.

use kode_core::call::{Approval, Audit, Call, CallState, Decision};
use kode_core::id::{CallId, Millis};
use serde_json::{Value, json};

use crate::time::number;

/// Most bytes of a result that a model reads, as in an agent of ours.
const RESULT_MAX: usize = 64 * 1024;

/// What the model reads of a call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) content: String,
    pub(crate) is_error: bool,
}

/// The state that a record tells, if it is one in which a call may end.
fn ended(record: &Value) -> Option<CallState> {
    match state(&record["state"])? {
        CallState::Pending | CallState::ApprovalRequired | CallState::Approved | CallState::Executing => None,
        over @ (CallState::Completed | CallState::Failed | CallState::Denied | CallState::Sealed) => {
            Some(over)
        }
    }
}

/// Whether upstream's own record says that the call was not over.
pub(crate) fn is_open(record: &Value) -> bool {
    ended(record).is_none()
}

fn state(value: &Value) -> Option<CallState> {
    serde_json::from_value(value.clone()).ok()
}

/// What the model is to read of a call whose result is not in the history, from its record.
pub(crate) fn answer(name: &str, record: Option<&Value>) -> Answer {
    let record = record.unwrap_or(&Value::Null);
    let error = record["error"].as_str();
    match (ended(record), state(&record["state"])) {
        (Some(CallState::Completed), _) => {
            Answer { content: crate::said::result_text(&record["result"]), is_error: false }
        }
        (Some(over), _) => {
            let code = if over == CallState::Denied { "denied" } else { "failed" };
            let why = error.map_or_else(|| format!("{name} ended without a result"), ToOwned::to_owned);
            problem(code, &why, "go on without it, or ask the user")
        }
        (None, Some(CallState::Pending | CallState::ApprovalRequired | CallState::Approved)) => problem(
            "not_started",
            &format!("the agent was moved before {name} was run; it was not run"),
            "call it again if it is still wanted",
        ),
        (None, _) => problem(
            "unknown_outcome",
            &format!("the agent was moved while {name} was running; whether it took effect is unknown"),
            "check what was done before you call it again",
        ),
    }
}

fn problem(code: &str, error: &str, hint: &str) -> Answer {
    let content = json!({ "ok": false, "code": code, "error": error, "hint": hint });
    Answer { content: content.to_string(), is_error: true }
}

/// Keeps head and tail of what is too long, and says so between them; whether it had to.
pub(crate) fn cut(text: String) -> (String, bool) {
    if text.len() <= RESULT_MAX {
        return (text, false);
    }
    let head = text.floor_char_boundary(RESULT_MAX * 3 / 4);
    let tail = text.ceil_char_boundary(text.len() - RESULT_MAX / 4);
    (format!("{}\n… {} bytes were left out here …\n{}", &text[..head], tail - head, &text[tail..]), true)
}

/// The call as our record, ended: as its own record tells, or else as its answer in the history does.
pub(crate) fn call(
    id: CallId,
    upstream: &str,
    (name, input): (&str, &Value),
    record: Option<&Value>,
    answer: &Answer,
    moved: Millis,
) -> Call {
    let none = Value::Null;
    let known = record.unwrap_or(&none);
    let at = number(&known["createdAt"]).unwrap_or(moved);
    let mut call = Call::asked(id, name, input, at);
    call.audit_trail = trail(known, &call.audit_trail);
    if let Some(first) = call.audit_trail.first_mut() {
        first.note = Some(format!("upstream's call {upstream}"));
    }
    call.approval = approval(known, at);
    call.started_at = number(&known["startedAt"]);
    call.completed_at = number(&known["completedAt"]);
    call.duration_ms = number(&known["durationMs"]);
    let over = ended(known).unwrap_or(match (record, answer.is_error) {
        (_, false) => CallState::Completed,
        (None, true) => CallState::Failed,
        (Some(_), true) => CallState::Sealed,
    });
    if call.audit_trail.last().map(|line| line.state) != Some(over) {
        let when = call.completed_at.unwrap_or(moved);
        call = call.entering(over, when, Some("imported".into()));
    }
    call.state = over;
    call.is_error = over != CallState::Completed;
    if call.is_error {
        call.error = Some(known["error"].as_str().map_or_else(|| answer.content.clone(), ToOwned::to_owned));
    } else {
        call.result = Some(result(known, answer)).filter(|value| !value.is_null());
    }
    call
}

/// What a completed call gave: of its record, unless that is longer than a model would read.
fn result(record: &Value, answer: &Answer) -> Value {
    let own = &record["result"];
    if !own.is_null() && own.to_string().len() <= RESULT_MAX {
        return own.clone();
    }
    Value::String(answer.content.clone())
}

fn trail(record: &Value, otherwise: &[Audit]) -> Vec<Audit> {
    let lines = record["auditTrail"].as_array().map_or(&[][..], Vec::as_slice);
    let line = |line: &Value| {
        let note = line["note"].as_str().map(ToOwned::to_owned);
        Some(Audit { state: state(&line["state"])?, timestamp: number(&line["timestamp"])?, note })
    };
    let own: Vec<Audit> = lines.iter().filter_map(line).collect();
    if own.is_empty() { otherwise.to_vec() } else { own }
}

/// The approval, where one was asked for; one that nobody gave is refused, as nobody can give it any more.
fn approval(record: &Value, asked: Millis) -> Option<Approval> {
    let approval = &record["approval"];
    if approval["required"] != true {
        return None;
    }
    let text = |name: &str| approval[name].as_str().map(ToOwned::to_owned);
    let decision = match approval["decision"].as_str() {
        Some("allow") => Some(Decision::Allow),
        Some(_) => Some(Decision::Deny),
        None => None,
    };
    let open = decision.is_none();
    let sealed = || "nobody had decided when the agent was moved".to_owned();
    Some(Approval {
        reason: text("reason").unwrap_or_else(|| "asked for before the agent was moved".to_owned()),
        requested_at: asked,
        expires_at: None,
        decision: decision.or(Some(Decision::Deny)),
        decided_by: if open { Some("import".to_owned()) } else { text("decidedBy") },
        note: if open { Some(sealed()) } else { text("note") },
    })
}
