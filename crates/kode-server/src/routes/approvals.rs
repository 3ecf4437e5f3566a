//! What waits for a person, what the person said, and the word to stop.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use kode_core::call::Decision;
use kode_core::id::{AgentId, CallId};
use kode_core::{Agent, Interrupted};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::error::ApiError;
use crate::extract::{AgentPath, ApiJson, ApiQuery, OptionalJson};
use crate::routes::LOCAL;
use crate::shape::{Approval, Approvals};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/approvals", get(all))
        .route("/api/agents/{agentId}/approvals", get(of_agent))
        .route("/api/agents/{agentId}/approve", post(approve))
        .route("/api/agents/{agentId}/interrupt", post(interrupt))
}

#[derive(Deserialize)]
struct PrefixQuery {
    #[serde(default)]
    prefix: String,
}

async fn all(
    State(app): State<App>,
    ApiQuery(query): ApiQuery<PrefixQuery>,
) -> Result<Json<Approvals>, ApiError> {
    let open = app.pool.approvals(&query.prefix).await?;
    let approvals = open.iter().map(|(id, open)| Approval::of(Some(id.clone()), open)).collect();
    Ok(Json(Approvals { approvals }))
}

async fn of_agent(State(app): State<App>, AgentPath(id): AgentPath) -> Result<Json<Approvals>, ApiError> {
    let view = app.pool.look(&id).await?.ok_or_else(|| ApiError::no_agent(&id))?;
    Ok(Json(Approvals { approvals: view.approvals.iter().map(|open| Approval::of(None, open)).collect() }))
}

/// A decision, as both kinds of routes take it; the session is the chat's.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewDecision {
    call_id: CallId,
    decision: Decision,
    note: Option<String>,
}

async fn approve(
    State(app): State<App>,
    AgentPath(id): AgentPath,
    ApiJson(body, _): ApiJson<NewDecision>,
) -> Result<StatusCode, ApiError> {
    decide(&app, &id, &body.call_id, body.decision, body.note).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Decides on a call of an existing agent.
pub(super) async fn decide(
    app: &App,
    id: &AgentId,
    call: &CallId,
    decision: Decision,
    note: Option<String>,
) -> Result<(), ApiError> {
    let decide = |agent: Agent| {
        let (call, note) = (call.clone(), note.clone());
        async move { agent.decide(&call, decision, LOCAL, note).await }
    };
    Ok(app.pool.ask(id, decide).await?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stop {
    note: Option<String>,
}

/// What an interrupt met.
#[derive(Serialize)]
struct Stopped {
    status: &'static str,
}

async fn interrupt(
    State(app): State<App>,
    AgentPath(id): AgentPath,
    OptionalJson(body): OptionalJson<Stop>,
) -> Result<(StatusCode, Json<impl Serialize>), ApiError> {
    let status = stop(&app, &id, body.note).await?;
    Ok((StatusCode::ACCEPTED, Json(Stopped { status })))
}

/// Stops the run and the background commands of an existing agent. One that has neither is not taken up for that.
pub(super) async fn stop(app: &App, id: &AgentId, note: Option<String>) -> Result<&'static str, ApiError> {
    let view = app.pool.look(id).await?.ok_or_else(|| ApiError::no_agent(id))?;
    if view.is_idle() {
        return Ok("idle");
    }
    let interrupt = |agent: Agent| {
        let note = note.clone();
        async move { agent.interrupt(LOCAL, note).await }
    };
    Ok(match app.pool.ask(id, interrupt).await? {
        Interrupted::Stopping => "interrupting",
        Interrupted::Idle => "idle",
    })
}
