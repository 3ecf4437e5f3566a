//! What is told of background jobs: the events of the call that started them, since the kinds of events are closed.

use serde_json::{Map, Value, json};

use crate::call::PREVIEW_CHARS;
use crate::event::Event;
use crate::fact::{JobEnded, JobStarted, JobTold};
use crate::id::{CallId, JobId};

pub(super) fn started(started: &JobStarted) -> Event {
    let JobStarted { job, call, tool, line, timeout_secs } = started;
    let shown: String = line.chars().take(PREVIEW_CHARS).collect();
    let data = json!({ "shell_id": job, "cmd": shown, "timeout_secs": timeout_secs });
    event((call, tool), "job_started", data)
}

pub(super) fn told(told: &JobTold) -> Event {
    event((&told.call, &told.tool), &told.event_type, told.data.clone())
}

pub(super) fn ended(ended: &JobEnded) -> Event {
    let JobEnded { job, call, tool, end } = ended;
    event((call, tool), "job_ended", of_end(job, end.status(), end.detail()))
}

fn of_end(job: &JobId, status: &str, detail: Option<(&str, Value)>) -> Value {
    let head = [("shell_id", json!(job)), ("status", json!(status))];
    let fields = head.into_iter().chain(detail).map(|(name, value)| (name.to_owned(), value));
    Value::Object(fields.collect::<Map<_, _>>())
}

fn event((call, tool): (&CallId, &str), event_type: &str, data: Value) -> Event {
    Event::ToolCustomEvent {
        call_id: call.clone(),
        tool: tool.to_owned(),
        event_type: event_type.to_owned(),
        data,
    }
}
