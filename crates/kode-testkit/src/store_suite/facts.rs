//! A fact of every kind, for round trips. Written as they stand in journals, so that a new field with a default
//! changes nothing here.

use kode_core::fact::Fact;
use serde_json::{Value, json};

fn shift() -> Value {
    json!({"from": ["READY", "READY"], "to": ["WORKING", "PRE_MODEL"]})
}

fn call(state: &str) -> Value {
    json!({
        "id": "call_1_0", "name": "fs_read", "state": state, "inputPreview": "{\"path\":\"ä\"}",
        "approval": {"reason": "policy", "requestedAt": 1, "expiresAt": 2, "decision": "allow", "decidedBy": "anna", "note": "fine"},
        "result": {"lines": [1, 2.5, null]}, "keptBytes": 70000, "error": "", "isError": false, "sandbox": "isolated", "startedAt": 3, "completedAt": 4,
        "durationMs": 1, "auditTrail": [{"state": "PENDING", "timestamp": 1, "note": "asked"}]
    })
}

fn usage() -> Value {
    json!({"inputTokens": 1, "outputTokens": 2, "totalTokens": 3, "cachedTokens": 0, "reasoningTokens": 1})
}

fn answer() -> Value {
    json!({
        "fact": "model_answered", "step": 1, "attempt": 1,
        "content": [{"type": "thinking", "text": "hm"}, {"type": "text", "text": "hello"},
            {"type": "tool_use", "id": "call_1_0", "name": "fs_read", "input": {}},
            {"type": "tool_result", "toolUseId": "call_1_0", "content": "", "isError": true}],
        "calls": [{"call": call("PENDING"), "input": {"path": "a"}, "traits": {"readonly": true, "replayable": true},
            "problem": {"code": "unknown_tool", "message": "no such tool", "hint": "use fs_read"}}],
        "ends": ["think_end", {"text_end": "hello"}, {"void": "post_model"}], "finish": "tool_calls", "usage": usage(), "shift": shift()
    })
}

fn turn_facts() -> Value {
    json!([
        {"fact": "opened", "template": "f00d", "resumed": true, "strategy": "crash", "sealed": ["call_1_0"]},
        {"fact": "created", "template": "assistant", "metadata": {"tenant": null}},
        {"fact": "message_queued", "id": "m1", "content": [{"type": "text", "text": "hi"}], "mode": "steer",
            "metadata": {"n": 0}, "key": {"key": "k", "digest": "d"}},
        {"fact": "turn_started", "turn": 1, "messages": ["m1"], "shift": shift()},
        {"fact": "steered", "messages": ["m2"]},
        {"fact": "step_ended", "step": 1, "duration_ms": 12, "shift": shift()},
        {"fact": "todos_changed", "previous": [], "version": 1,
            "current": [{"id": "1", "title": "t", "status": "in_progress", "assignee": "a", "notes": "n"}]},
        {"fact": "stop_requested", "stop": {"why": "interrupt", "note": "enough", "by": "anna"}},
        {"fact": "stop_requested", "stop": {"why": "limit", "problem": {"code": "steps", "message": "too many"}}},
        {"fact": "turn_ended", "step": 1, "messages": ["m1"], "reason": "failed",
            "error": {"code": "network", "message": "no connection"}, "shift": shift()}
    ])
}

fn lineage_facts() -> Value {
    json!([
        {"fact": "forked", "from": "user:1", "at": 7, "ancestors": [{"agentId": "user:1:fork:a", "seq": 3}],
            "template": "assistant", "metadata": {"n": null}, "files": {"files": "copied", "ticket": "01k"}},
        {"fact": "forked", "from": "user:1", "at": 7, "template": "assistant",
            "files": {"files": "shared", "owner": "user:1"}},
        {"fact": "inherited", "calls": [call("COMPLETED")], "steps": 2, "turns": 1,
            "messages": [{"id": "m1", "role": "user", "content": [{"type": "text", "text": "hi"}], "createdAt": 1,
                "seq": 3, "interrupted": true, "metadata": {"n": 0}}],
            "todos": {"todos": [{"id": "1", "title": "t", "status": "pending"}], "version": 4}},
        {"fact": "inherited", "digest": {"nth": 2, "up_to": 4, "kept": [1], "cut": [4096, 9], "len": 12,
            "message": {"id": "summary_2", "role": "user", "content": [{"type": "text", "text": "so far"}],
                "createdAt": 1, "seq": 3}}},
        {"fact": "snapshotted", "id": "before the change", "at": 6}
    ])
}

fn model_facts() -> Value {
    json!([
        {"fact": "prompt_amended", "step": 1, "amendment":
            {"system": "be brief", "notes": ["a", "\0"], "model": "m", "max_tokens": 0}},
        {"fact": "model_started", "step": 1, "attempt": 1, "shift": shift()},
        {"fact": "model_chunk", "step": 1, "attempt": 1,
            "parts": ["think_start", {"think": "h"}, "think_end", "text_start", {"text": "x"}, {"text_end": "x"}]},
        {"fact": "elided", "from": 2, "step": 1, "attempt": 1,
            "kept": [{"cursor": 7, "seq": 2, "at": 3, "part": "text_start"}]},
        answer(),
        {"fact": "model_failed", "step": 1, "attempt": 1, "reset": true, "retry_at": 9,
            "failure": {"code": "network", "message": "no connection", "providerCode": "1301"}},
        {"fact": "model_lost", "step": 1, "attempt": 1},
        {"fact": "model_stopped", "step": 1, "attempt": 1, "content": [], "ends": ["think_end"]}
    ])
}

fn call_facts() -> Value {
    json!([
        {"fact": "policy_ruled", "call": "call_1_0", "policy": "own", "ruling": {"ask": "sure?"}},
        {"fact": "policy_ruled", "call": "call_1_0", "policy": "own", "ruling": "allow"},
        {"fact": "hook_answered", "call": "call_1_0", "verdict": {"verdict": "result", "value": false}},
        {"fact": "approvals_requested", "calls": [call("APPROVAL_REQUIRED")], "shift": shift()},
        {"fact": "paused", "shift": shift()},
        {"fact": "permission_decided", "call": "call_1_0", "decision": "deny", "by": "policy", "note": "no"},
        {"fact": "tool_started", "call": "call_1_0", "attempt": 2, "shift": shift()},
        {"fact": "tool_emitted", "call": "call_1_0", "tool": "t", "event_type": "e", "data": [0, "", null]},
        {"fact": "tool_ended", "call": call("COMPLETED"), "content": "ok", "ran": true}
    ])
}

fn job_facts() -> Value {
    let end = |end: Value| json!({"fact": "job_ended", "job": "shell_1_0", "call": "call_1_0", "tool": "bash_run", "end": end});
    json!([
        {"fact": "job_started", "job": "shell_1_0", "call": "call_1_0", "tool": "bash_run", "line": "sleep 1 \n# ä",
            "timeout_secs": 28_800},
        {"fact": "job_stop_requested", "job": "shell_1_0", "by": "model"},
        {"fact": "job_told", "job": "shell_1_0", "call": "call_1_0", "tool": "bash_run", "event_type": "refused",
            "data": {"host": "example.org", "port": null}},
        end(json!({"how": "ended", "end": "exited", "code": 255})),
        end(json!({"how": "ended", "end": "signaled", "signal": 9})),
        end(json!({"how": "ended", "end": "timed_out"})),
        end(json!({"how": "ended", "end": "over_limit", "limit": "memory", "message": "more than 2 GiB"})),
        end(json!({"how": "ended", "end": "failed", "message": "no more processes"})),
        end(json!({"how": "killed", "by": "interrupt"})),
        end(json!({"how": "lost"}))
    ])
}

fn context_facts() -> Value {
    let plan = json!({"up_to": 7, "kept": [2, 6], "cut": 4096, "room": 512});
    json!([
        {"fact": "compaction_started", "nth": 1, "attempt": 1, "plan": plan, "before": 9000, "shift": shift()},
        {"fact": "compaction_failed", "nth": 1, "attempt": 1, "retry_at": 9, "usage": usage(),
            "failure": {"code": "network", "message": "no connection"}},
        {"fact": "compacted", "nth": 1, "attempt": 2, "plan": plan, "by": "model", "preface": "[Before]",
            "summary": "they talked", "todos": "- t", "before": 9000, "after": 4000, "usage": usage()},
        {"fact": "todo_reminded", "reason": "steps", "content": "open: t",
            "todos": [{"id": "1", "title": "t", "status": "pending"}]}
    ])
}

fn parse(facts: Value) -> Vec<Fact> {
    serde_json::from_value(facts).expect("the samples are facts")
}

/// One fact of every kind at least.
///
/// # Panics
/// Never, while the samples are facts.
#[must_use]
pub fn every_kind() -> Vec<Fact> {
    let all = [turn_facts(), lineage_facts(), model_facts(), call_facts(), job_facts(), context_facts()];
    all.into_iter().flat_map(parse).collect()
}

/// Results that a careless store takes for none, and text that a careless format trips over.
///
/// # Panics
/// Never, while the samples are facts.
#[must_use]
pub fn awkward() -> Vec<Fact> {
    let data =
        [json!(null), json!(false), json!(0), json!(-0.5), json!(""), json!([]), json!({}), json!(u64::MAX)];
    let text = [
        "\0",
        "a\nb\r\n\t\"\\",
        "\u{2028}\u{feff}\u{7f}",
        "日本語 🦀 e\u{301}",
        "\u{10ffff}",
        "{\"crc\":\"00000000\",\n",
    ];
    let data = data.into_iter().chain(text.into_iter().map(Value::from));
    let fact =
        |data| json!({"fact": "tool_emitted", "call": "c", "tool": "t", "event_type": "e", "data": data});
    parse(data.map(fact).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Exhaustive, so that a new kind of fact is missed here first.
    fn kind(fact: &Fact) -> u32 {
        match fact {
            Fact::Opened { .. } => 0,
            Fact::Created { .. } => 1,
            Fact::MessageQueued { .. } => 2,
            Fact::TurnStarted { .. } => 3,
            Fact::Steered { .. } => 4,
            Fact::ModelStarted { .. } => 5,
            Fact::ModelChunk { .. } => 6,
            Fact::ModelAnswered { .. } => 7,
            Fact::ModelFailed { .. } => 8,
            Fact::ModelLost { .. } => 9,
            Fact::ModelStopped { .. } => 10,
            Fact::HookAnswered { .. } => 11,
            Fact::ApprovalsRequested { .. } => 12,
            Fact::Paused { .. } => 13,
            Fact::PermissionDecided { .. } => 14,
            Fact::ToolStarted { .. } => 15,
            Fact::ToolEmitted { .. } => 16,
            Fact::ToolEnded { .. } => 17,
            Fact::StepEnded { .. } => 18,
            Fact::TodosChanged { .. } => 19,
            Fact::StopRequested { .. } => 20,
            Fact::TurnEnded { .. } => 21,
            Fact::Forked { .. } => 22,
            Fact::Inherited { .. } => 23,
            Fact::Snapshotted { .. } => 24,
            Fact::CompactionStarted { .. } => 25,
            Fact::CompactionFailed { .. } => 26,
            Fact::Compacted(_) => 27,
            Fact::TodoReminded { .. } => 28,
            Fact::Elided { .. } => 29,
            Fact::PromptAmended { .. } => 30,
            Fact::PolicyRuled { .. } => 31,
            Fact::JobStarted(_) => 32,
            Fact::JobStopRequested(_) => 33,
            Fact::JobTold(_) => 34,
            Fact::JobEnded(_) => 35,
        }
    }

    #[test]
    fn there_is_a_sample_of_every_kind() {
        let kinds: BTreeSet<u32> = every_kind().iter().map(kind).collect();
        assert_eq!(kinds, (0..=35).collect());
    }
}
