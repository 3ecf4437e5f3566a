//! Named places of an agent's journal, and other agents that begin there.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use kode_core::id::{AgentId, Seq, SnapshotId, TemplateId};
use kode_core::lineage::ForkPoint;
use kode_core::{Agent, ForkSpec, ForkWorkspace};
use kode_pool::PoolError;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::app::App;
use crate::auth::{Caller, Reached};
use crate::error::ApiError;
use crate::extract::{self, AgentPath, ApiQuery, OptionalJson};
use crate::openapi::{FORK, IDENTIFIED, LISTED, LOOKED_UP, MADE, Operation, TAKEN_UP};
use crate::routes::{PAGE_MAX, page};
use crate::shape::{Forked, Forks, Info, Snapshot, Snapshots};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/agents/{agentId}/snapshots", post(snapshot).get(snapshots))
        .route("/api/agents/{agentId}/fork", post(fork))
        .route("/api/agents/{agentId}/forks", get(forks))
}

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::post(
            "/api/agents/{agentId}/snapshots",
            "createSnapshot",
            "Name the place where an agent stands.",
        )
        .may_take::<NewSnapshot>()
        .gives::<Snapshot>(201, "The place has its name.")
        .refuses(IDENTIFIED)
        .refuses(&["snapshot_exists", "too_many_snapshots"])
        .refuses(TAKEN_UP),
        Operation::get(
            "/api/agents/{agentId}/snapshots",
            "listSnapshots",
            "The named places of an agent's journal.",
        )
        .gives::<Snapshots>(200, "All of them, oldest first.")
        .refuses(IDENTIFIED)
        .refuses(LOOKED_UP),
        Operation::post(
            "/api/agents/{agentId}/fork",
            "forkAgent",
            "Make another agent that begins as this one was.",
        )
        .may_take::<NewFork>()
        .gives::<Forked>(201, "The fork is there.")
        .refuses(IDENTIFIED)
        .refuses(MADE)
        .refuses(FORK)
        .refuses(TAKEN_UP),
        Operation::get(
            "/api/agents/{agentId}/forks",
            "listForks",
            "The forks of an agent, and the forks of those.",
        )
        .asks::<ForksQuery>(&["prefix", "limit", "after"])
        .gives::<Forks>(200, "A page, which may be empty and have a `next`.")
        .refuses(IDENTIFIED)
        .refuses(LISTED)
        .refuses(LOOKED_UP),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewSnapshot {
    /// The place's name, which is unique in the agent; made if absent.
    #[schemars(regex(pattern = r"^(?=.*\S)(?![0-9]+$)[^\x00-\x1f\x7f]+$"), length(max = 200))]
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

/// How a place is named.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it says what is read, by hand, from a value")]
enum Place {
    Seq(u64),
    Snapshot(String),
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewFork {
    /// Where: a snapshot's id, or a seq; the last place at which no call is open, if absent.
    #[serde(default)]
    #[schemars(with = "Option<Place>")]
    at: Value,
    /// The fork's name; generated if absent.
    #[schemars(with = "Option<AgentId>")]
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

#[derive(Deserialize, JsonSchema)]
struct ForksQuery {
    /// Only agents under this name, by whole `:` segments.
    #[serde(default)]
    prefix: String,
    /// Looks at most at so many agents: 1,000 if absent, clamped to 1 to 1,000.
    limit: Option<usize>,
    /// Only agents behind this name.
    #[schemars(with = "Option<AgentId>")]
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
