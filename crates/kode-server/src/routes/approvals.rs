//! What waits for a person, what the person said, and the word to stop.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use kode_core::call::Decision;
use kode_core::id::CallId;
use kode_core::machine::PendingApproval;
use kode_core::{Agent, Interrupted};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::auth::{Caller, Reached};
use crate::error::ApiError;
use crate::extract::{AgentPath, ApiJson, ApiQuery, OptionalJson};
use crate::openapi::{IDENTIFIED, LOOKED_UP, Operation, READ, TAKEN_UP};
use crate::shape::{Approval, Approvals, input_hash};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/approvals", get(all))
        .route("/api/agents/{agentId}/approvals", get(of_agent))
        .route("/api/agents/{agentId}/approve", post(approve))
        .route("/api/agents/{agentId}/interrupt", post(interrupt))
}

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/api/approvals", "listApprovals", "All calls that wait for a person.")
            .asks::<PrefixQuery>(&["prefix"])
            .gives::<Approvals>(200, "The calls, each with its agent.")
            .refuses(READ),
        Operation::get(
            "/api/agents/{agentId}/approvals",
            "getApprovals",
            "An agent's calls that wait for a person.",
        )
        .gives::<Approvals>(200, "The calls.")
        .refuses(IDENTIFIED)
        .refuses(LOOKED_UP),
        Operation::post(
            "/api/agents/{agentId}/approve",
            "decide",
            "Allow or deny a call that waits for a person.",
        )
        .takes::<NewDecision>()
        .gives_nothing(204, "The decision is durable.")
        .refuses(IDENTIFIED)
        .refuses(DECIDED)
        .refuses(TAKEN_UP),
        Operation::post(
            "/api/agents/{agentId}/interrupt",
            "interrupt",
            "Stop the run and the background commands.",
        )
        .may_take::<Stop>()
        .gives::<Stopped>(202, "`done` follows once all of it is gone.")
        .refuses(IDENTIFIED)
        .refuses(TAKEN_UP),
    ]
}

/// What may be wrong with a decision.
pub(super) const DECIDED: &[&str] = &["approval_not_found", "approval_decided", "approval_changed"];

#[derive(Deserialize, JsonSchema)]
struct PrefixQuery {
    /// Only those of agents under this name, by whole `:` segments.
    #[serde(default)]
    prefix: String,
}

async fn all(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(query): ApiQuery<PrefixQuery>,
) -> Result<Json<Approvals>, ApiError> {
    let open = app.pool.approvals(&caller.reach().within(&query.prefix)).await?;
    let approvals = open.iter().map(|(id, open)| Approval::of(Some(id.clone()), open)).collect();
    Ok(Json(Approvals { approvals }))
}

async fn of_agent(State(app): State<App>, AgentPath(id): AgentPath) -> Result<Json<Approvals>, ApiError> {
    let view = app.pool.look(&id).await?.ok_or_else(|| ApiError::no_agent(&*id))?;
    Ok(Json(Approvals { approvals: view.approvals.iter().map(|open| Approval::of(None, open)).collect() }))
}

/// A decision, as both kinds of routes take it; the session is the chat's.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewDecision {
    call_id: CallId,
    decision: Decision,
    /// A word to the model, which reads it when the call is refused.
    note: Option<String>,
    /// What was shown: the decision holds for this input only.
    input_hash: Option<String>,
}

async fn approve(
    State(app): State<App>,
    caller: Caller,
    AgentPath(id): AgentPath,
    ApiJson(body, _): ApiJson<NewDecision>,
) -> Result<StatusCode, ApiError> {
    let verdict = Verdict { call: body.call_id, decision: body.decision, note: body.note };
    decide(&app, &caller, &id, verdict, body.input_hash.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a person decided.
#[derive(Clone)]
pub(super) struct Verdict {
    pub(super) call: CallId,
    pub(super) decision: Decision,
    pub(super) note: Option<String>,
}

/// Decides on a call of an existing agent; with the hash of an input, only if that is what the call would run.
pub(super) async fn decide(
    app: &App,
    caller: &Caller,
    id: &Reached,
    verdict: Verdict,
    shown: Option<&str>,
) -> Result<(), ApiError> {
    if let Some(shown) = shown {
        is_what_was_shown(app, id, &verdict.call, shown).await?;
    }
    let decide = |agent: Agent| {
        let Verdict { call, decision, note } = verdict.clone();
        async move { agent.decide(&call, decision, caller.name(), note).await }
    };
    Ok(app.pool.ask(id, decide).await?)
}

/// The input of an open call never changes: what is true now is true when the decision is written down. Why a call
/// that is not open cannot be decided is the agent's to say.
async fn is_what_was_shown(app: &App, id: &Reached, call: &CallId, shown: &str) -> Result<(), ApiError> {
    let view = app.pool.look(id).await?.ok_or_else(|| ApiError::no_agent(&**id))?;
    let open = view.approvals.iter().find(|open| open.call.id == *call);
    let is_other = |open: &PendingApproval| !input_hash(&open.input).eq_ignore_ascii_case(shown);
    if open.is_some_and(is_other) {
        let message = "the call has another input than the one with this inputHash; look at it again";
        return Err(ApiError::conflict("approval_changed", message));
    }
    Ok(())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Stop {
    note: Option<String>,
}

/// What an interrupt met.
#[derive(Serialize, JsonSchema)]
struct Stopped {
    status: &'static str,
}

async fn interrupt(
    State(app): State<App>,
    caller: Caller,
    AgentPath(id): AgentPath,
    OptionalJson(body): OptionalJson<Stop>,
) -> Result<(StatusCode, Json<impl Serialize>), ApiError> {
    let status = stop(&app, &caller, &id, body.note).await?;
    Ok((StatusCode::ACCEPTED, Json(Stopped { status })))
}

/// Stops the run and the background commands of an existing agent. One that has neither is not taken up for that.
pub(super) async fn stop(
    app: &App,
    caller: &Caller,
    id: &Reached,
    note: Option<String>,
) -> Result<&'static str, ApiError> {
    let view = app.pool.look(id).await?.ok_or_else(|| ApiError::no_agent(&**id))?;
    if view.is_idle() {
        return Ok("idle");
    }
    let interrupt = |agent: Agent| {
        let note = note.clone();
        async move { agent.interrupt(caller.name(), note).await }
    };
    Ok(match app.pool.ask(id, interrupt).await? {
        Interrupted::Stopping => "interrupting",
        Interrupted::Idle => "idle",
    })
}
