//! One agent that is written to: its turn's span, and the spans of the tools that run in it.

use std::collections::HashMap;
use std::time::SystemTime;

use kode_core::call::Call;
use kode_core::event::{DoneReason, Problem};
use kode_core::fact::{CallProblem, Fact, NewCall};
use kode_core::id::{CallId, MessageId};
use kode_core::message::Usage;
use kode_core::trace::TraceParent;
use opentelemetry::trace::{Link, Span, SpanBuilder, SpanKind, Status, TraceContextExt};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, Span as SdkSpan};

use super::{Moment, span_of, spent};
use crate::names::{
    AGENT_NAME, CONVERSATION, ERROR_TYPE, EXECUTE_TOOL, INVOKE_AGENT, OPERATION, OUTCOME, PROVIDER, REASON,
    RESUMED, TOOL_CALL, TOOL_NAME, TOOL_TYPE, TURN,
};
use crate::request::{context_of, within};

#[derive(Debug)]
pub(super) struct Agent {
    /// What spans call it.
    pub(super) shown: String,
    /// What it was made from; empty where that is not known.
    pub(super) template: Option<String>,
    /// Where messages that no turn has taken yet belong.
    waiting: HashMap<MessageId, TraceParent>,
    turn: Option<Turn>,
}

/// A turn under way. Its span ends with it.
#[derive(Debug)]
struct Turn {
    /// Before the turn's own: what runs in it ends first.
    tools: HashMap<CallId, SdkSpan>,
    context: Context,
    names: HashMap<CallId, String>,
    usage: Usage,
}

impl Agent {
    pub(super) fn new(shown: String) -> Self {
        Self { shown, template: None, waiting: HashMap::new(), turn: None }
    }

    /// Where what it does now belongs.
    pub(super) fn context(&self) -> Context {
        self.turn.as_ref().map_or_else(Context::new, |turn| turn.context.clone())
    }

    /// A fact was taken by the store.
    pub(super) fn took(&mut self, tracer: &SdkTracer, provider: &str, fact: &Fact, moment: Moment) {
        match fact {
            // What another writer had under way is not this one's.
            Fact::Opened { .. } => self.turn = None,
            Fact::Created { template, .. } | Fact::Forked { template, .. } => {
                self.template = Some(template.to_string());
            }
            Fact::MessageQueued { id, trace: Some(trace), .. } => {
                self.waiting.insert(id.clone(), trace.clone());
            }
            Fact::TurnStarted { turn, messages, .. } => {
                let asked = self.asked(messages);
                self.begin(tracer, provider, Some(*turn), &asked, moment.before);
            }
            Fact::Steered { messages } => {
                let asked = self.asked(messages);
                for parent in asked.iter().filter_map(context_of) {
                    span_of(&self.context()).add_link(parent, Vec::new());
                }
            }
            Fact::ModelStarted { .. } | Fact::CompactionStarted { .. } => {
                self.ensure(tracer, provider, moment);
            }
            Fact::ModelAnswered { calls, usage, .. } => self.answered(calls, *usage),
            Fact::CompactionFailed { usage, .. } => self.answered(&[], *usage),
            Fact::Compacted(compacted) => self.answered(&[], compacted.usage),
            Fact::ToolStarted { call, .. } => self.tool_started(tracer, provider, call, moment),
            Fact::ToolEnded { call, problem, .. } => self.tool_ended(call, problem.as_ref(), moment),
            Fact::TurnEnded { reason, error, .. } => self.ended(*reason, error.as_ref(), moment.after),
            _ => {}
        }
    }

    /// Where the messages of a turn came from.
    fn asked(&mut self, messages: &[MessageId]) -> Vec<TraceParent> {
        messages.iter().filter_map(|id| self.waiting.remove(id)).collect()
    }

    /// A turn belongs to the trace of its first message, and knows of the others.
    fn begin(
        &mut self,
        tracer: &SdkTracer,
        provider: &str,
        turn: Option<u32>,
        asked: &[TraceParent],
        at: SystemTime,
    ) {
        let template = self.template.clone().unwrap_or_default();
        let mut attributes = vec![
            KeyValue::new(OPERATION, INVOKE_AGENT),
            KeyValue::new(PROVIDER, provider.to_owned()),
            KeyValue::new(CONVERSATION, self.shown.clone()),
            match turn {
                Some(turn) => KeyValue::new(TURN, i64::from(turn)),
                None => KeyValue::new(RESUMED, true),
            },
        ];
        if !template.is_empty() {
            attributes.push(KeyValue::new(AGENT_NAME, template.clone()));
        }
        let others = asked.iter().skip(1).filter_map(context_of);
        let builder = SpanBuilder::from_name(named(INVOKE_AGENT, &template))
            .with_kind(SpanKind::Internal)
            .with_start_time(at)
            .with_attributes(attributes)
            .with_links(others.map(Link::with_context).collect());
        let span = builder.start_with_context(tracer, &within(asked.first()));
        self.turn = Some(Turn {
            context: Context::new().with_span(span),
            tools: HashMap::new(),
            names: HashMap::new(),
            usage: Usage::default(),
        });
    }

    /// A turn that another writer began.
    fn ensure(&mut self, tracer: &SdkTracer, provider: &str, moment: Moment) {
        if self.turn.is_none() {
            self.begin(tracer, provider, None, &[], moment.before);
        }
    }

    fn answered(&mut self, calls: &[NewCall], usage: Usage) {
        let Some(turn) = &mut self.turn else { return };
        let named = calls.iter().map(|new| (new.call.id.clone(), new.call.name.clone()));
        turn.names.extend(named);
        turn.usage += usage;
    }

    fn tool_started(&mut self, tracer: &SdkTracer, provider: &str, call: &CallId, moment: Moment) {
        self.ensure(tracer, provider, moment);
        let Some(turn) = &mut self.turn else { return };
        let name = turn.names.get(call).cloned().unwrap_or_default();
        let span = SpanBuilder::from_name(named(EXECUTE_TOOL, &name))
            .with_kind(SpanKind::Internal)
            .with_start_time(moment.after)
            .with_attributes([
                KeyValue::new(OPERATION, EXECUTE_TOOL),
                KeyValue::new(TOOL_CALL, call.to_string()),
                KeyValue::new(TOOL_TYPE, "function"),
                KeyValue::new(TOOL_NAME, name),
            ]);
        turn.tools.insert(call.clone(), span.start_with_context(tracer, &turn.context));
    }

    /// By its code alone: what a tool says is content.
    fn tool_ended(&mut self, call: &Call, problem: Option<&CallProblem>, moment: Moment) {
        let Some(mut span) = self.turn.as_mut().and_then(|turn| turn.tools.remove(&call.id)) else { return };
        span.update_name(named(EXECUTE_TOOL, &call.name));
        span.set_attribute(KeyValue::new(TOOL_NAME, call.name.clone()));
        span.set_attribute(KeyValue::new(OUTCOME, call.state.outcome()));
        if call.is_error {
            let code = problem.map_or("failed", |problem| problem.code.as_str());
            span.set_attribute(KeyValue::new(ERROR_TYPE, code.to_owned()));
            span.set_status(Status::error(""));
        }
        span.end_with_timestamp(moment.after);
    }

    fn ended(&mut self, reason: DoneReason, error: Option<&Problem>, at: SystemTime) {
        let Some(mut turn) = self.turn.take() else { return };
        turn.tools.clear();
        let span = span_of(&turn.context);
        span.set_attributes(spent(turn.usage));
        span.set_attribute(KeyValue::new(REASON, reason.name()));
        if reason == DoneReason::Failed {
            let code = error.map_or("failed", |error| error.code.as_str());
            span.set_attribute(KeyValue::new(ERROR_TYPE, code.to_owned()));
            span.set_status(Status::error(""));
        }
        span.end_with_timestamp(at);
    }
}

fn named(operation: &str, what: &str) -> String {
    if what.is_empty() { operation.to_owned() } else { format!("{operation} {what}") }
}
