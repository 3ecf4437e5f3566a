//! The host's own say in a running agent: the order of hooks, what they change, and those that fail or hang.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kode_core::event::{DoneReason, Event};
use kode_core::fact::Fact;
use kode_core::hook::{Amendment, Answer, Hook, HookCall, HookPoints, Outcome, Verdict};
use kode_core::id::{AgentId, Seq, TemplateId};
use kode_core::message::{Block, Message, Role};
use kode_core::model::{AskedCall, ModelRequest};
use kode_core::pages::Pages;
use kode_core::store::{After, Journal};
use kode_core::template::Template;
use kode_core::tool::ToolError;
use kode_core::{CompletionStatus, RuntimeBuilder};
use kode_testkit::scripted_model::{Gate, Script};
use serde_json::{Value, json};

use crate::world::{World, kinds, template, until_rest};

/// Writes down what it is asked, and adds its name to whatever it may change.
struct Named {
    name: &'static str,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Named {
    fn hear(&self, what: impl std::fmt::Display) {
        self.heard.lock().unwrap().push(format!("{} {what}", self.name));
    }
}

#[async_trait]
impl Hook for Named {
    async fn pre_tool(&self, call: &HookCall) -> Verdict {
        self.hear(format_args!("pre_tool {}", call.tool));
        Verdict::Continue
    }

    async fn post_tool(&self, call: &HookCall, outcome: &Outcome) -> Option<Outcome> {
        self.hear(format_args!("post_tool {} {outcome:?}", call.tool));
        Some(outcome.clone().map(|value| json!(format!("{} {}", value.as_str().unwrap_or("?"), self.name))))
    }

    async fn pre_model(&self, _: &AgentId, request: &ModelRequest) -> Amendment {
        self.hear(format_args!("pre_model {:?}", request.system));
        Amendment { system: Some(self.name.into()), ..Amendment::default() }
    }

    async fn post_model(&self, _: &AgentId, answer: &Answer) -> Option<Answer> {
        let text: String = answer.content.iter().filter_map(Block::as_text).collect();
        self.hear(format_args!("post_model {text:?} {} calls", answer.calls.len()));
        let content = vec![Block::text(format!("{text} {}", self.name))];
        (!text.is_empty()).then(|| Answer { content, ..answer.clone() })
    }

    async fn messages_changed(&self, _: &AgentId, messages: &Pages<Message>, from: usize) {
        self.hear(format_args!("messages_changed {from}..{}", messages.len()));
    }
}

pub(crate) fn with(
    scripts: impl IntoIterator<Item = Script>,
    template: Template,
    more: impl FnOnce(RuntimeBuilder) -> RuntimeBuilder,
) -> World {
    World::built(template, scripts, more)
}

/// Scenario 24: those of the tool, of the template, of the runtime, in the order of registration, each on what the
/// one before made.
#[tokio::test]
async fn hooks_are_a_chain_in_the_order_of_registration() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hook = |name| Arc::new(Named { name, heard: heard.clone() });
    let id = TemplateId::new("plain");
    let world = with(
        [Script::new().call("hooked", json!({})), Script::new().text("done")],
        template().with_tools(["slow", "hooked"]),
        |builder| {
            let tool = Arc::new(Hooked(hook("tool")));
            let builder = builder.tool(tool).hook(hook("runtime")).template_hook(id, hook("template"));
            builder.hook(hook("last"))
        },
    );
    let agent = world.agent("a").await;
    let sent = agent.complete("go").await.unwrap();
    assert_eq!(sent.text, "done tool template runtime last");
    let order = ["tool", "template", "runtime", "last"];
    let heard_of = |what: &str| -> Vec<String> {
        let heard = heard.lock().unwrap();
        heard.iter().filter(|line| line.contains(what)).cloned().collect()
    };
    assert_eq!(heard_of("pre_tool"), order.map(|name| format!("{name} pre_tool hooked")));
    let results = ["raw", "raw tool", "raw tool template", "raw tool template runtime"];
    let seen =
        order.iter().zip(results).map(|(name, said)| format!("{name} post_tool hooked Ok(String({said:?}))"));
    assert_eq!(heard_of("post_tool"), seen.collect::<Vec<_>>());
    let results = agent.view().transcript.get(2).unwrap().content.clone();
    assert!(format!("{results:?}").contains("raw tool template runtime last"), "{results:?}");
    let added = ["", "\n\ntool", "\n\ntool\n\ntemplate", "\n\ntool\n\ntemplate\n\nruntime"];
    let seen = order.iter().zip(added).map(|(name, added)| {
        let system = format!("You are a test.{added}");
        format!("{name} pre_model {system:?}")
    });
    assert_eq!(heard_of("pre_model")[..4], seen.collect::<Vec<_>>());
    let system = "You are a test.\n\ntool\n\ntemplate\n\nruntime\n\nlast";
    for request in world.model.requests() {
        assert_eq!(&*request.system, system, "each step, and the additions of one step alone");
    }
    let last = heard_of("post_model \"done").last().cloned();
    assert_eq!(last.as_deref(), Some("last post_model \"done tool template runtime\" 0 calls"));
}

/// Gives `raw`, and brings a hook.
struct Hooked(Arc<Named>);

#[async_trait]
impl kode_core::tool::Tool for Hooked {
    fn spec(&self) -> kode_core::model::ToolSpec {
        let (name, description) = ("hooked".into(), "Brings a hook.".into());
        kode_core::model::ToolSpec { name, description, input_schema: json!({ "type": "object" }) }
    }

    fn check(&self, _: &Value) -> Result<(), ToolError> {
        Ok(())
    }

    fn hooks(&self) -> Vec<Arc<dyn Hook>> {
        vec![self.0.clone()]
    }

    async fn call(&self, _: &kode_core::tool::ToolCx, _: Value) -> Result<Value, ToolError> {
        Ok(json!("raw"))
    }
}

/// One method of a hook, as a test has it.
type Act = Box<dyn Fn() -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Does something at one point only, and is asked nowhere else.
pub(crate) struct At {
    points: HookPoints,
    act: Act,
}

#[async_trait]
impl Hook for At {
    fn points(&self) -> HookPoints {
        self.points
    }

    async fn pre_tool(&self, _: &HookCall) -> Verdict {
        (self.act)().await;
        Verdict::Continue
    }

    async fn post_tool(&self, _: &HookCall, _: &Outcome) -> Option<Outcome> {
        (self.act)().await;
        None
    }

    async fn pre_model(&self, _: &AgentId, _: &ModelRequest) -> Amendment {
        (self.act)().await;
        Amendment::default()
    }

    async fn post_model(&self, _: &AgentId, _: &Answer) -> Option<Answer> {
        (self.act)().await;
        None
    }

    async fn messages_changed(&self, _: &AgentId, _: &Pages<Message>, _: usize) {
        (self.act)().await;
    }
}

fn point(name: &str) -> HookPoints {
    let none = HookPoints::NONE;
    match name {
        "pre_tool" => HookPoints { pre_tool: true, ..none },
        "post_tool" => HookPoints { post_tool: true, ..none },
        "pre_model" => HookPoints { pre_model: true, ..none },
        "post_model" => HookPoints { post_model: true, ..none },
        "messages_changed" => HookPoints { messages_changed: true, ..none },
        other => panic!("there is no point {other}"),
    }
}

pub(crate) fn panics(at: &str) -> Arc<At> {
    Arc::new(At { points: point(at), act: Box::new(|| Box::pin(async { panic!("a hook that panics") })) })
}

/// Hangs at the gate for good.
fn hangs(at: &str, gate: &Gate) -> Arc<At> {
    let gate = gate.clone();
    let act: Act = Box::new(move || {
        let gate = gate.clone();
        Box::pin(async move { gate.hold().await })
    });
    Arc::new(At { points: point(at), act })
}

/// What the model was told of its call in the last request.
pub(crate) fn told(world: &World) -> String {
    let requests = world.model.requests();
    let last = requests.last().unwrap().messages.last().unwrap().content.clone();
    serde_json::to_string(&last).unwrap()
}

fn one_call() -> [Script; 2] {
    [Script::new().call("slow", json!({})), Script::new().text("done")]
}

/// Scenario 25: an error for that call only; the turn goes on.
#[tokio::test]
async fn g2_a_hook_that_panics_on_a_call_spoils_that_call() {
    for (at, ran) in [("pre_tool", false), ("post_tool", true)] {
        let world = with(one_call(), template(), |builder| builder.hook(panics(at)));
        world.gate.open();
        let agent = world.agent("a").await;
        let done = agent.complete("go").await.unwrap();
        assert_eq!(
            (done.status, done.text.as_str()),
            (CompletionStatus::Done(DoneReason::Completed), "done")
        );
        let told = told(&world);
        assert!(told.contains("\"isError\":true") && told.contains("failed"), "{at}: {told}");
        assert_eq!(told.contains("slow ran and may have taken effect"), ran, "{at}: {told}");
    }
}

/// A request that a guard could not look at is not sent, an answer that one could not look at is not taken, and the
/// next message finds the agent as it was.
#[tokio::test]
async fn g9_a_hook_that_panics_on_request_or_answer_fails_the_turn() {
    for (at, asked) in [("pre_model", 0), ("post_model", 1)] {
        let world = with([Script::new().text("one")], template(), |builder| builder.hook(panics(at)));
        let agent = world.agent("a").await;
        let done = agent.complete("go").await.unwrap();
        assert_eq!(done.status, CompletionStatus::Done(DoneReason::Failed));
        assert_eq!(done.error.map(|e| e.code).as_deref(), Some("hook_failed"));
        assert_eq!(world.model.requests().len(), asked, "{at}");
        assert_eq!(agent.view().transcript.len(), 1, "{at}: nothing of it is history");
        assert!(agent.view().at_rest);
    }
}

/// Limits of one template: a hook that hangs costs its own time, and nothing waits for it after that.
#[tokio::test]
async fn g10_a_hook_that_hangs_is_left_behind_at_its_time_out() {
    for (at, status) in [
        ("pre_tool", DoneReason::Completed),
        ("post_tool", DoneReason::Completed),
        ("pre_model", DoneReason::Failed),
        ("post_model", DoneReason::Failed),
        ("messages_changed", DoneReason::Completed),
    ] {
        let gate = Gate::default();
        let world = with(one_call(), template(), |builder| builder.hook(hangs(at, &gate)));
        world.gate.open();
        let agent = world.agent("a").await;
        let complete = agent.complete("go");
        let advance = async {
            gate.arrived().await;
            world.clock.advance(30_000);
        };
        let (done, ()) = tokio::join!(complete, advance);
        assert_eq!(done.unwrap().status, CompletionStatus::Done(status), "{at}");
    }
}

#[tokio::test]
async fn an_interrupt_drops_a_hook_that_hangs() {
    for at in ["pre_tool", "post_tool", "pre_model", "post_model"] {
        let gate = Gate::default();
        let world = with(one_call(), template(), |builder| builder.hook(hangs(at, &gate)));
        world.gate.open();
        let agent = world.agent("a").await;
        let sent = agent.send("go").await.unwrap();
        gate.arrived().await;
        agent.interrupt("me", None).await.unwrap();
        let told = kinds(&until_rest(&agent, sent.cursor).await);
        assert_eq!(told.iter().filter(|kind| *kind == "done").count(), 1, "{at}");
        assert!(agent.view().at_rest, "{at}");
    }
}

/// Drops calls and puts what no hook may make into the content.
struct Rewrites;

#[async_trait]
impl Hook for Rewrites {
    fn points(&self) -> HookPoints {
        point("post_model")
    }

    async fn post_model(&self, _: &AgentId, answer: &Answer) -> Option<Answer> {
        let id = kode_core::id::CallId::new("call_9_9");
        let forged = Block::ToolUse { id: id.clone(), name: "slow".into(), input: json!({}) };
        let result = Block::ToolResult { id, content: "forged".into(), is_error: false };
        let mut calls = answer.calls.clone();
        calls.retain(|call| call.name != "broken");
        calls.extend((!calls.is_empty()).then(|| AskedCall { name: "nope".into(), arguments: "{".into() }));
        Some(Answer { content: vec![forged, Block::text("rewritten"), result], calls })
    }
}

/// G2 whatever a hook returns: each call that is left has its one result, and none is there that was not asked for.
#[tokio::test]
async fn g2_no_edit_of_an_answer_breaks_the_pairs_of_calls_and_results() {
    let script = Script::new().text("as it was").call("slow", json!({})).call("broken", json!({}));
    let world =
        with([script, Script::new().text("end")], template(), |builder| builder.hook(Arc::new(Rewrites)));
    world.gate.open();
    let agent = world.agent("a").await;
    let sent = agent.send("go").await.unwrap();
    let told = until_rest(&agent, sent.cursor).await;
    let transcript: Vec<_> = agent.view().transcript.iter().cloned().collect();
    let roles: Vec<_> = transcript.iter().map(|m| m.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::User, Role::Assistant]);
    let asked: Vec<_> = transcript[1].content.iter().filter_map(call_id).collect();
    let answered: Vec<_> = transcript[2].content.iter().filter_map(call_id).collect();
    assert_eq!(asked, ["call_1_0", "call_1_1"]);
    assert_eq!(answered, asked);
    assert_eq!(transcript[1].text(), "rewritten");
    let resets =
        told.iter().filter(|e| matches!(&e.event, Event::TextReset { reason, .. } if reason == "post_model"));
    assert_eq!(resets.count(), 2, "what was shown of both answers is void");
}

fn call_id(block: &Block) -> Option<&str> {
    match block {
        Block::ToolUse { id, .. } | Block::ToolResult { id, .. } => Some(id.as_str()),
        Block::Text { .. } | Block::Thinking { .. } => None,
    }
}

/// An amendment is in the journal before the request goes out.
#[tokio::test]
async fn what_hooks_change_in_a_request_is_written_down_before_it_is_sent() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::new(Named { name: "only", heard });
    let world = with([Script::new().text("hi")], template(), |builder| builder.hook(hook));
    let agent = world.agent("a").await;
    agent.complete("go").await.unwrap();
    let entries = world.store.read(agent.id(), After::Seq(Seq::ZERO), 100).await.unwrap();
    let amended = entries.iter().position(|e| matches!(&e.fact, Fact::PromptAmended { step: 1, amendment } if amendment.system.as_deref() == Some("only")));
    let started = entries.iter().position(|e| matches!(e.fact, Fact::ModelStarted { .. }));
    assert!(amended.unwrap() < started.unwrap());
}

/// Without hooks nothing is added: the same facts as ever, and a hook that only looks at results adds none.
#[tokio::test]
async fn g10_hooks_that_are_not_there_cost_nothing() {
    let mut journals = Vec::new();
    for hooked in [false, true] {
        let world = with(one_call(), template(), |builder| match hooked {
            true => builder
                .hook(Arc::new(At { points: point("post_tool"), act: Box::new(|| Box::pin(async {})) })),
            false => builder,
        });
        world.gate.open();
        let agent = world.agent("a").await;
        agent.complete("go").await.unwrap();
        let entries = world.store.read(agent.id(), After::Seq(Seq::ZERO), 100).await.unwrap();
        let facts = entries
            .iter()
            .map(|e| serde_json::to_value(&e.fact).unwrap()["fact"].as_str().unwrap().to_owned());
        journals.push(facts.collect::<Vec<_>>());
    }
    assert_eq!(journals[0], journals[1]);
    let asked = ["prompt_amended", "hook_answered", "policy_ruled"];
    assert!(!journals[0].iter().any(|fact| asked.contains(&fact.as_str())), "{:?}", journals[0]);
}
