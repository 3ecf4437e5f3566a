//! Named places of an agent's journal, and other agents that begin there.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use kode_core::id::{AgentId, Seq, SnapshotId, TemplateId};
use kode_core::lineage::ForkPoint;
use kode_core::{Agent, ForkSpec, ForkWorkspace};
use kode_pool::PoolError;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::app::App;
use crate::auth::{Caller, Reached};
use crate::error::ApiError;
use crate::extract::{self, AgentPath, ApiQuery, OptionalJson};
use crate::routes::{PAGE_MAX, page};
use crate::shape::{Forked, Forks, Info, Snapshot, Snapshots};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/agents/{agentId}/snapshots", post(snapshot).get(snapshots))
        .route("/api/agents/{agentId}/fork", post(fork))
        .route("/api/agents/{agentId}/forks", get(forks))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSnapshot {
    label: Option<String>,
}

async fn snapshot(
    State(app): State<App>,
    AgentPath(id): AgentPath,
    OptionalJson(body): OptionalJson<NewSnapshot>,
) -> Result<(StatusCode, Json<Snapshot>), ApiError> {
    let name = |agent: Agent| {
        let label = body.label.clone();
        async move { agent.snapshot(label.as_deref()).await }
    };
    let named = app.pool.ask(&id, name).await?;
    Ok((StatusCode::CREATED, Json(named.into())))
}

async fn snapshots(State(app): State<App>, AgentPath(id): AgentPath) -> Result<Json<Snapshots>, ApiError> {
    let view = app.pool.look(&id).await?.ok_or_else(|| ApiError::no_agent(&*id))?;
    Ok(Json(Snapshots { snapshots: view.snapshots.iter().cloned().map(Snapshot::from).collect() }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewFork {
    #[serde(default)]
    at: Value,
    agent_id: Option<String>,
    #[serde(default)]
    workspace: ForkWorkspace,
    template_id: Option<TemplateId>,
    metadata: Option<Map<String, Value>>,
}

async fn fork(
    State(app): State<App>,
    caller: Caller,
    AgentPath(id): AgentPath,
    OptionalJson(body): OptionalJson<NewFork>,
) -> Result<(StatusCode, Json<Forked>), ApiError> {
    let name = fork_name(&app, &caller, &id, body.agent_id.as_deref())?;
    let spec = ForkSpec {
        at: point(&body.at)?,
        agent: Some(name.clone().into()),
        workspace: body.workspace,
        template: body.template_id,
        metadata: body.metadata,
    };
    let _turn = caller.may_make(&app.pool, &name).await?;
    let forked = app.pool.fork(&id, spec).await?;
    let agent_id = forked.agent.id().clone();
    app.users.saw(&agent_id);
    Ok((StatusCode::CREATED, Json(Forked { agent_id, forked_from: forked.from, copied: forked.copied })))
}

/// The fork's name: a generated one may lie beside its parent, where the caller must reach it as well.
fn fork_name(app: &App, caller: &Caller, parent: &Reached, named: Option<&str>) -> Result<Reached, ApiError> {
    match named {
        Some(named) => extract::agent(caller, named),
        None => {
            let name = app.pool.runtime().name_fork(parent).map_err(PoolError::from)?;
            caller.reached(name).map_err(|_| PoolError::NoName((**parent).clone()).into())
        }
    }
}

/// A seq, as a number or in digits, or a snapshot's name.
fn point(at: &Value) -> Result<ForkPoint, ApiError> {
    let seq = |seq: u64| ForkPoint::Seq(Seq(seq));
    let point = match at {
        Value::Null => Some(ForkPoint::Last),
        Value::Number(number) => number.as_u64().map(seq),
        Value::String(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
            text.parse().ok().map(seq)
        }
        Value::String(name) => Some(ForkPoint::Snapshot(SnapshotId::new(name.as_str()))),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    point.ok_or_else(|| {
        ApiError::unprocessable("invalid_request", "at: give a snapshotId, or a seq, which is a whole number")
    })
}

#[derive(Deserialize)]
struct ForksQuery {
    #[serde(default)]
    prefix: String,
    limit: Option<usize>,
    after: Option<String>,
}

async fn forks(
    State(app): State<App>,
    caller: Caller,
    AgentPath(id): AgentPath,
    ApiQuery(query): ApiQuery<ForksQuery>,
) -> Result<Json<Forks>, ApiError> {
    let after: Option<AgentId> = query.after.as_deref().map(extract::place).transpose()?;
    app.pool.look(&id).await?.ok_or_else(|| ApiError::no_agent(&*id))?;
    let limit = page(query.limit, PAGE_MAX, PAGE_MAX);
    let found = app.pool.forks(&id, &caller.reach().within(&query.prefix), after.as_ref(), limit).await?;
    let forks = found.forks.into_iter().map(|info| Info::of(info, caller.reach())).collect();
    Ok(Json(Forks { forks, next: found.next }))
}
