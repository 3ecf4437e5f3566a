//! The host's own says, asked one after the other: policies and hooks. One that panics, or is silent for too long,
//! spoils what it was asked about and nothing else, and never by letting it pass.

use std::sync::Arc;

use tokio::task::{AbortHandle, JoinHandle};

use super::Surroundings;
use crate::event::Problem;
use crate::hook::{AMENDMENT_MAX, Amendment, Answer, HookCall, Outcome, Verdict};
use crate::machine::{Input, Ruling};
use crate::model::{ErrorClass, ModelError, ModelRequest};
use crate::tool::{ToolError, ToolTraits};

/// Why there is no answer, in words that complete "a hook …".
pub(super) struct Spoiled(String);

/// A task that ends with whoever waits for it.
struct Owned(AbortHandle);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs the host's code in a task of its own, so that neither a panic nor a blocked thread of it is ours.
pub(super) async fn ask<T: Send + 'static>(
    around: &Surroundings,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Spoiled> {
    let secs = around.kit.template.limits.hook_timeout_secs;
    let until = around.shared.clock.now().saturating_add(secs.saturating_mul(1_000));
    let mut task: JoinHandle<T> = tokio::spawn(work);
    let _owned = Owned(task.abort_handle());
    let spoiled = tokio::select! {
        biased;
        ended = &mut task => match ended {
            Ok(answer) => return Ok(answer),
            Err(_) => Spoiled("failed".into()),
        },
        () = around.shared.clock.until(until) => Spoiled(format!("did not answer within {secs} s")),
    };
    tracing::warn!(agent = %around.tool_cx.agent, why = spoiled.0, "a hook or a policy gave no answer");
    Err(spoiled)
}

/// The policy that the template names.
pub(super) async fn rule(
    around: Arc<Surroundings>,
    shown: HookCall,
    policy: String,
    traits: ToolTraits,
) -> Input {
    let call = shown.call.clone();
    let ruling = match around.kit.policy().cloned() {
        Some(own) => ask(&around, async move { own.rule(&shown, traits).await }).await,
        None => Err(Spoiled("is not registered".into())),
    };
    let denied =
        |Spoiled(why)| Ruling::Deny(format!("the policy {policy} {why}, and without its word nothing runs"));
    Input::PolicyRuled { call, ruling: ruling.unwrap_or_else(denied), policy }
}

/// The first hook that has something to say on a call says it.
pub(super) async fn pre_tool(around: Arc<Surroundings>, shown: HookCall) -> Input {
    let call = shown.call.clone();
    for hook in around.kit.hooks().on_call(&shown.tool, |points| points.pre_tool) {
        let shown = shown.clone();
        let verdict = ask(&around, async move { hook.pre_tool(&shown).await }).await;
        let denied = |Spoiled(why)| Verdict::Deny { reason: format!("a hook on this call {why}") };
        let verdict = verdict.unwrap_or_else(denied);
        if verdict != Verdict::Continue {
            return Input::HookAnswered { call, verdict };
        }
    }
    Input::HookAnswered { call, verdict: Verdict::Continue }
}

/// What becomes of a tool's outcome.
pub(super) async fn post_tool(around: &Surroundings, shown: &HookCall, outcome: Outcome) -> Outcome {
    let mut outcome = outcome;
    for hook in around.kit.hooks().on_call(&shown.tool, |points| points.post_tool) {
        let call = shown.clone();
        let looked =
            ask(around, async move { hook.post_tool(&call, &outcome).await.unwrap_or(outcome) }).await;
        outcome = match looked {
            Ok(outcome) => outcome,
            Err(Spoiled(why)) => return Err(unknown(&shown.tool, &why)),
        };
    }
    outcome
}

fn unknown(tool: &str, why: &str) -> ToolError {
    let message =
        format!("{tool} ran and may have taken effect, but a hook on its result {why}, so it is not known");
    ToolError::new("hook_failed", message).hint("check what was done before you call it again")
}

/// What the hooks change in the request of a step.
pub(super) async fn pre_model(
    around: Arc<Surroundings>,
    request: ModelRequest,
    step: u32,
    messages: usize,
) -> Input {
    let mut all = Amendment::default();
    for hook in around.kit.hooks().having(|points| points.pre_model) {
        let (agent, request) = (around.tool_cx.agent.clone(), all.request_after(&request));
        match ask(&around, async move { hook.pre_model(&agent, &request).await }).await {
            Ok(amendment) => all = all.and(amendment),
            Err(Spoiled(why)) => return refused(step, messages, format!("a hook on the request {why}")),
        }
    }
    if all.size() > AMENDMENT_MAX {
        let why = format!("hooks added {} bytes to the request, at most {AMENDMENT_MAX} may be", all.size());
        return refused(step, messages, why);
    }
    Input::PromptAmended { step, messages, outcome: Ok(all) }
}

fn refused(step: u32, messages: usize, why: String) -> Input {
    let problem = Problem {
        code: ErrorClass::HookFailed.code().into(),
        message: format!("{why}; the request was not sent"),
    };
    Input::PromptAmended { step, messages, outcome: Err(problem) }
}

/// What becomes of an answer, and whether it is another one now.
pub(super) async fn post_model(around: &Surroundings, answer: Answer) -> Result<(Answer, bool), ModelError> {
    let (mut answer, mut edited) = (answer, false);
    for hook in around.kit.hooks().having(|points| points.post_model) {
        let agent = around.tool_cx.agent.clone();
        let looked = ask(around, async move {
            let changed = hook.post_model(&agent, &answer).await.filter(|changed| *changed != answer);
            (changed.is_some(), changed.unwrap_or(answer))
        });
        let (changed, now) = looked.await.map_err(|Spoiled(why)| {
            let message = format!("a hook on the answer {why}; the answer was not taken");
            ModelError::fatal(ErrorClass::HookFailed, message)
        })?;
        (answer, edited) = (now, edited || changed);
    }
    Ok((answer, edited))
}
