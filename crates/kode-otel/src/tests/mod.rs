//! Facts in, spans out: what the turns of agents come to, also where they are cut, handed over or joined.

use std::collections::BTreeMap;
use std::time::SystemTime;

use kode_core::event::{AgentState, Breakpoint, DoneReason};
use kode_core::fact::{Entry, Fact, SendMode, Shift};
use kode_core::id::{AgentId, CallId, Cursor, Epoch, MessageId, Seq, TemplateId};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use serde_json::json;

use crate::Otel;
use crate::export::Providers;
use crate::turns::Moment;

/// Turns whose spans are kept in memory.
struct World {
    otel: Otel,
    spans: InMemorySpanExporter,
    agent: AgentId,
}

impl World {
    fn new(agent: &str) -> Self {
        let spans = InMemorySpanExporter::default();
        let traces = SdkTracerProvider::builder().with_simple_exporter(spans.clone()).build();
        let providers = Providers::of(traces, SdkMeterProvider::builder().build());
        Self { otel: Otel::over(providers, false), spans, agent: AgentId::new(agent).unwrap() }
    }

    fn took(&self, facts: impl IntoIterator<Item = Fact>) {
        let entry =
            |fact| Entry { seq: Seq(1), epoch: Epoch(1), at: 0, cursor: Cursor::ZERO, events: 0, fact };
        let entries: Vec<Entry> = facts.into_iter().map(entry).collect();
        let now = SystemTime::now();
        self.otel.turns.took(&self.agent, &entries, Moment { before: now, after: now });
    }

    /// The spans that have ended, in the order in which they did.
    fn ended(&self) -> Vec<SpanData> {
        self.spans.get_finished_spans().unwrap()
    }

    fn names(&self) -> Vec<String> {
        self.ended().into_iter().map(|span| span.name.into_owned()).collect()
    }
}

fn attributes(span: &SpanData) -> BTreeMap<String, String> {
    span.attributes.iter().map(|pair| (pair.key.to_string(), pair.value.to_string())).collect()
}

fn created() -> Fact {
    Fact::Created { template: TemplateId::new("helper"), metadata: serde_json::Map::new() }
}

fn shift() -> Shift {
    let place = (AgentState::Ready, Breakpoint::Ready);
    Shift { from: place, to: place }
}

fn said(id: &str, span: Option<u8>) -> Fact {
    let trace = span.map(|span| format!("00-{:032x}-{span:016x}-01", 7).parse().unwrap());
    let (content, metadata) = (Vec::new(), serde_json::Map::new());
    Fact::MessageQueued { id: MessageId::new(id), content, mode: SendMode::Queue, metadata, key: None, trace }
}

fn turn(turn: u32, messages: &[&str]) -> Fact {
    let messages = messages.iter().map(|id| MessageId::new(*id)).collect();
    Fact::TurnStarted { turn, messages, shift: shift() }
}

fn ended(reason: DoneReason) -> Fact {
    Fact::TurnEnded { step: 1, messages: Vec::new(), reason, error: None, shift: None }
}

fn started(call: &str) -> Fact {
    Fact::ToolStarted { call: CallId::new(call), attempt: 1, shift: None }
}

/// The end of a call, as an older writer's journal has it.
fn finished(call: &str, name: &str) -> Fact {
    let record =
        json!({ "id": call, "name": name, "state": "FAILED", "inputPreview": "secret", "isError": true });
    serde_json::from_value(json!({
        "fact": "tool_ended", "call": record, "content": "secret", "ran": true,
        "problem": { "code": "not_found", "message": "secret" },
    }))
    .unwrap()
}

#[test]
fn a_turn_belongs_to_its_first_message_and_knows_of_the_others() {
    let world = World::new("user:1");
    world.took([created(), said("a", None), said("b", Some(1)), said("c", Some(2)), said("d", Some(3))]);
    world.took([turn(1, &["a", "b", "c"])]);
    world.took([Fact::Steered { messages: vec![MessageId::new("d")] }]);
    world.took([ended(DoneReason::Completed)]);
    let spans = world.ended();
    let [span] = &spans[..] else { panic!("one span: {spans:?}") };
    assert_eq!(span.name, "invoke_agent helper");
    assert_eq!(span.parent_span_id.to_string(), format!("{:016x}", 1));
    let links: Vec<String> = span.links.iter().map(|link| link.span_context.span_id().to_string()).collect();
    assert_eq!(links, [format!("{:016x}", 2), format!("{:016x}", 3)]);
}

#[test]
fn a_turn_that_another_writer_began_is_taken_up_as_a_trace_of_its_own() {
    let world = World::new("user:1");
    world.took([created(), said("a", Some(1)), turn(1, &["a"]), started("old")]);
    let opened =
        json!({ "fact": "opened", "template": "t", "resumed": true, "strategy": "crash", "sealed": [] });
    world.took([serde_json::from_value(opened).unwrap()]);
    // What the older writer had under way has ended here: nobody of this process goes on with it.
    assert_eq!(world.names(), ["execute_tool", "invoke_agent helper"]);
    world.took([started("new"), finished("new", "fs_read"), ended(DoneReason::Failed)]);
    let spans = world.ended();
    let names: Vec<&str> = spans[2..].iter().map(|span| span.name.as_ref()).collect();
    assert_eq!(names, ["execute_tool fs_read", "invoke_agent helper"]);
    let (tool, turn) = (attributes(&spans[2]), attributes(&spans[3]));
    assert_eq!(spans[2].parent_span_id, spans[3].span_context.span_id());
    assert_eq!((tool["error.type"].as_str(), tool["kode.tool.outcome"].as_str()), ("not_found", "failed"));
    assert_eq!((turn["kode.turn.resumed"].as_str(), turn["error.type"].as_str()), ("true", "failed"));
    assert!(!format!("{spans:?}").contains("secret"), "content is told");
}

#[test]
fn an_agent_that_is_put_away_is_forgotten_and_two_do_not_meet() {
    let (one, other) = (World::new("user:1"), AgentId::new("user:2").unwrap());
    one.took([created(), turn(1, &[])]);
    let place = one.otel.turns.place_of(&crate::turns::user_of(&one.agent));
    assert!(place.context.span().span_context().is_valid());
    assert_eq!(place.agent.as_deref(), Some(crate::turns::user_of(&one.agent).as_str()), "a hash, no id");
    let elsewhere = one.otel.turns.place_of(&crate::turns::user_of(&other));
    assert!(!elsewhere.context.span().span_context().is_valid());
    drop(place);
    one.otel.turns.left(&one.agent);
    assert_eq!(one.names(), ["invoke_agent helper"], "its span has ended");
    let gone = one.otel.turns.place_of(&crate::turns::user_of(&one.agent));
    assert!(!gone.context.span().span_context().is_valid());
}
