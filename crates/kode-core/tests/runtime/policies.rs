//! Policies of the host's in a running agent: what they decide, and what is wrong when the runtime is built.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kode_core::call::Decision;
use kode_core::hook::HookCall;
use kode_core::id::TemplateId;
use kode_core::policy::{Policy, Ruling};
use kode_core::registry::RegistryError;
use kode_core::template::{PermissionMode, Template};
use kode_core::tool::ToolTraits;
use kode_core::{CompletionStatus, RuntimeBuilder};
use kode_testkit::scripted_model::Script;
use serde_json::json;

use crate::hooks::{panics, told, with};
use crate::world::{World, template, until_rest};

/// Allows by name, asks about the rest, and counts.
struct Own(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl Policy for Own {
    async fn rule(&self, call: &HookCall, traits: ToolTraits) -> Ruling {
        self.0.lock().unwrap().push(format!("{} {}", call.tool, traits.readonly));
        match call.tool.as_str() {
            "slow" => Ruling::Ask("is it worth the time?".into()),
            _ => panic!("a policy that panics"),
        }
    }
}

fn named(mode: &str) -> Template {
    let mut template = template();
    template.permission.mode = PermissionMode::from(mode.to_owned());
    template
}

#[tokio::test]
async fn g2_a_policy_decides_and_one_that_fails_lets_nothing_run() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let script = Script::new().call("slow", json!({})).call("broken", json!({}));
    let world = with([script, Script::new().text("done")], named("own"), |builder| {
        builder.policy("own", Arc::new(Own(asked.clone())))
    });
    world.gate.open();
    let agent = world.agent("a").await;
    let paused = agent.complete("go").await.unwrap();
    assert_eq!(paused.status, CompletionStatus::Paused);
    let waits = &paused.approvals[0];
    assert_eq!(waits.call.approval.as_ref().unwrap().reason, "is it worth the time?");
    agent.decide(&waits.call.id, Decision::Allow, "anna", None).await.unwrap();
    until_rest(&agent, paused.cursor).await;
    let told = told(&world);
    assert!(told.contains("slow and steady"), "{told}");
    assert!(told.contains("the policy own failed, and without its word nothing runs"), "{told}");
    let mut asked = asked.lock().unwrap().clone();
    asked.sort();
    assert_eq!(asked, ["broken false", "slow true"]);
}

/// What is wrong is said when the runtime is built, and no agent runs under it.
#[tokio::test]
async fn an_unknown_mode_or_template_is_an_error_of_the_build() {
    let own = || Arc::new(Own(Arc::default()));
    let build = |template, more: &dyn Fn(RuntimeBuilder) -> RuntimeBuilder| {
        World::builder(template, []).0.policy("own", own()).pipe(more).build().err()
    };
    let unknown = build(named("yolo"), &|builder| builder).unwrap();
    let said = "the template plain has the permission mode \"yolo\", which is not known; known are auto, approval, readonly, own";
    assert_eq!(unknown.to_string(), said);
    assert_eq!(build(named("own"), &|builder| builder), None);
    let twice = build(named("own"), &|builder| builder.policy("own", own()));
    assert_eq!(twice, Some(RegistryError::DuplicatePolicy("own".into())));
    let built_in = build(named("own"), &|builder| builder.policy("auto", own()));
    assert_eq!(built_in, Some(RegistryError::DuplicatePolicy("auto".into())));
    let nobody = TemplateId::new("nobody");
    let stray = build(named("own"), &|builder| builder.template_hook(nobody.clone(), panics("pre_tool")));
    assert_eq!(stray, Some(RegistryError::HookOfUnknownTemplate(nobody.clone())));
}

/// For builders in a chain.
trait Pipe: Sized {
    fn pipe(self, more: &dyn Fn(Self) -> Self) -> Self {
        more(self)
    }
}

impl Pipe for RuntimeBuilder {}
