//! One entry as a line: its seq, its fact's name and what its events do not say.

use kode_core::fact::{
    Compacted, CompactionPlan, Entry, Fact, JobEnded, JobStarted, ModelFailure, NewCall, Stop,
};
use kode_core::hook::Verdict;
use kode_core::lineage::Files;
use kode_core::machine::Ruling;
use kode_core::message::Block;

use super::{call, fact_name, list, name, quoted, span};

pub(in crate::scenario) fn line(entry: &Entry) -> String {
    let head = format!("{} {}", entry.seq, fact_name(entry));
    let detail = detail(entry);
    if detail.is_empty() { head } else { format!("{head} {detail}") }
}

fn detail(entry: &Entry) -> String {
    match &entry.fact {
        Fact::Opened { resumed, strategy, sealed, .. } => {
            format!("epoch {} resumed={resumed} {strategy} sealed=[{}]", entry.epoch, list(sealed))
        }
        Fact::Created { template, .. } => template.to_string(),
        Fact::Forked { from, at, ancestors, template, files, .. } => {
            let before = ancestors.iter().map(|a| format!("{} at {}; ", a.agent_id, a.seq));
            format!("{template} [{}{from} at {at}]{}", before.collect::<String>(), shared(files))
        }
        Fact::Inherited { messages, calls, todos, steps, turns, digest } => {
            let todos =
                todos.as_ref().map(|list| format!(", todo list {}", list.version)).unwrap_or_default();
            let (messages, calls) = (messages.len(), calls.len());
            let digest = digest.as_ref().map(|digest| format!(", condensed up to {}", digest.up_to));
            let digest = digest.unwrap_or_default();
            format!("{messages} messages, {calls} calls{todos}, {steps} steps, {turns} turns{digest}")
        }
        Fact::Snapshotted { id, at } => format!("{id} at {at}"),
        Fact::MessageQueued { id, content, mode, key, .. } => {
            let key = key.as_ref().map(|k| format!(" key {}", k.key)).unwrap_or_default();
            format!("{id} {}{key} {}", name(mode), blocks(content))
        }
        Fact::TurnStarted { turn, messages, .. } => format!("{turn} [{}]", list(messages)),
        Fact::Steered { messages } => format!("[{}]", list(messages)),
        Fact::ModelStarted { step, attempt, .. } | Fact::ModelLost { step, attempt } => {
            format!("{step}.{attempt}")
        }
        Fact::ModelChunk { step, attempt, parts } => format!("{step}.{attempt} {} parts", parts.len()),
        Fact::Elided { from, step, attempt, kept } => {
            format!("{step}.{attempt} from {from}, {} parts kept", kept.len())
        }
        Fact::ModelAnswered { step, attempt, content, calls, finish, .. } => {
            format!("{step}.{attempt} {} {}{}", name(finish), blocks(content), list(calls.iter().map(asked)))
        }
        Fact::ModelFailed { step, attempt, failure, retry_at, compact, .. } => {
            let next = retry_at.map(|at| format!("retry in {}", span(at.saturating_sub(entry.at))));
            let next = next.or_else(|| compact.then(|| "condense".to_owned()));
            format!("{step}.{attempt} {} {}", failed(failure), next.unwrap_or_else(|| "no retry".into()))
        }
        Fact::ModelStopped { step, attempt, content, .. } => format!("{step}.{attempt} {}", blocks(content)),
        Fact::CompactionStarted { nth, attempt, plan, before, .. } => {
            format!("{nth}.{attempt} {} of {before} tokens", planned(plan))
        }
        Fact::CompactionFailed { nth, attempt, failure, retry_at, .. } => {
            let next = retry_at.map(|at| format!("retry in {}", span(at.saturating_sub(entry.at))));
            format!("{nth}.{attempt} {} {}", failed(failure), next.unwrap_or_else(|| "no retry".into()))
        }
        Fact::Compacted(compacted) => {
            let Compacted { nth, attempt, plan, by, summary, before, after, .. } = &**compacted;
            let by = name(by);
            format!(
                "{nth}.{attempt} by {by} {} {before} to {after} tokens {}",
                planned(plan),
                quoted(summary)
            )
        }
        Fact::TodoReminded { reason, todos, .. } => format!("{} {} open", name(reason), todos.len()),
        Fact::PromptAmended { step, amendment } => {
            format!("{step} {}", serde_json::to_string(amendment).unwrap_or_default())
        }
        Fact::PolicyRuled { call, policy, ruling } => format!("{call} by {policy} {}", ruled(ruling)),
        Fact::HookAnswered { call, verdict } => format!("{call} {}", said(verdict)),
        Fact::ApprovalsRequested { calls, .. } => list(calls.iter().map(|c| asked_about(c, entry))),
        Fact::Paused { .. } => String::new(),
        Fact::PermissionDecided { call, decision, by, note } => {
            format!("{call} {} by {by}{}", name(decision), noted(note.as_deref()))
        }
        Fact::ToolStarted { call, attempt, .. } => format!("{call}.{attempt}"),
        Fact::ToolEmitted { call, tool, event_type, .. } => format!("{call} {tool} {event_type}"),
        Fact::ToolEnded { call: record, content, ran, .. } => {
            format!("{} ran={ran}; the model reads {}", record.id, quoted(content))
        }
        Fact::JobStarted(JobStarted { job, call, line, timeout_secs, .. }) => {
            format!("{job} of {call} {} within {timeout_secs} s", quoted(line))
        }
        Fact::JobStopRequested(stop) => format!("{} by {}", stop.job, stop.by),
        Fact::JobTold(told) => format!("{} {}", told.job, told.event_type),
        Fact::JobEnded(JobEnded { job, end, .. }) => {
            let detail = end.detail().map(|(name, detail)| format!(" {name} {detail}"));
            format!("{job} {}{}", end.status(), detail.unwrap_or_default())
        }
        Fact::StepEnded { step, duration_ms, .. } => format!("{step} after {}", span(*duration_ms)),
        Fact::TodosChanged { version, .. } => format!("version {version}"),
        Fact::StopRequested { stop } => why(stop),
        Fact::TurnEnded { step, messages, reason, .. } => {
            format!("step {step} [{}] {}", list(messages), name(reason))
        }
    }
}

fn shared(files: &Files) -> String {
    match files {
        Files::Own => String::new(),
        Files::Copied { .. } => " files copied".to_owned(),
        Files::Shared { owner } => format!(" files of {owner}"),
    }
}

/// Content in one line.
pub(super) fn blocks(content: &[Block]) -> String {
    let block = |block: &Block| match block {
        Block::Text { text } => quoted(text),
        Block::Thinking { text } => format!("thinking {}", quoted(text)),
        Block::ToolUse { id, name, input } => format!("{id} {name}{input}"),
        Block::ToolResult { id, content, is_error } => {
            format!("{id} {} {}", if *is_error { "error" } else { "ok" }, quoted(content))
        }
    };
    if content.is_empty() { "nothing".into() } else { list(content.iter().map(block)) }
}

fn asked(new: &NewCall) -> String {
    let traits = match new.traits {
        Some(traits) if traits.replayable => " replayable",
        Some(_) => "",
        None => " unknown",
    };
    let problem = new.problem.as_ref().map(|p| format!(" problem {}", p.code)).unwrap_or_default();
    format!("; {} {}{}{traits}{problem}", new.call.id, new.call.name, new.input)
}

fn planned(plan: &CompactionPlan) -> String {
    let kept = if plan.kept.is_empty() { String::new() } else { format!(" but [{}]", list(&plan.kept)) };
    let cut = plan.cut.map(|bytes| format!(", results cut to {bytes} bytes")).unwrap_or_default();
    format!("without messages before {}{kept}{cut}, room {}", plan.up_to, plan.room)
}

fn asked_about(asked: &kode_core::call::Call, entry: &Entry) -> String {
    let expires = asked.approval.as_ref().and_then(|a| a.expires_at);
    let expires = expires.map(|at| format!(" expires in {}", span(at.saturating_sub(entry.at))));
    format!("[{}{}]", call(asked), expires.unwrap_or_default())
}

fn failed(failure: &ModelFailure) -> String {
    let code = failure.provider_code.as_ref().map(|c| format!(" ({c})")).unwrap_or_default();
    format!("{}{code} {}", failure.code, quoted(&failure.message))
}

fn ruled(ruling: &Ruling) -> String {
    match ruling {
        Ruling::Allow => "allow".into(),
        Ruling::Ask(why) => format!("ask {}", quoted(why)),
        Ruling::Deny(why) => format!("deny {}", quoted(why)),
    }
}

fn said(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Continue => "continue".into(),
        Verdict::Ask { reason } => format!("ask {}", quoted(reason)),
        Verdict::Deny { reason } => format!("deny {}", quoted(reason)),
        Verdict::Result { value } => format!("result {value}"),
    }
}

fn why(stop: &Stop) -> String {
    match stop {
        Stop::Interrupt { note, by } => format!("interrupt by {by}{}", noted(note.as_deref())),
        Stop::Limit { problem } => format!("{} {}", problem.code, quoted(&problem.message)),
    }
}

pub(super) fn noted(note: Option<&str>) -> String {
    note.map(|note| format!(" {}", quoted(note))).unwrap_or_default()
}
