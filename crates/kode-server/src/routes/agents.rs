//! Agents as such: made, listed, looked at, deleted.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use kode_core::AgentSpec;
use kode_core::id::{AgentId, TemplateId};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::app::App;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::extract::{self, AgentPath, ApiQuery, OptionalJson};
use crate::openapi::{IDENTIFIED, LISTED, LOOKED_UP, MADE, Operation, TAKEN_UP};
use crate::routes::{PAGE, PAGE_MAX, page};
use crate::shape::{Agents, Created, Info, Status};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/agents", post(create).get(list))
        .route("/api/agents/{agentId}", get(info).delete(delete))
        .route("/api/agents/{agentId}/status", get(status))
}

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::post("/api/agents", "createAgent", "Make an agent, or find it.")
            .may_take::<NewAgent>()
            .gives::<Created>(201, "It was made.")
            .gives::<Created>(200, "It existed.")
            .refuses(IDENTIFIED)
            .refuses(MADE)
            .refuses(&["agent_id_needed"])
            .refuses(TAKEN_UP),
        Operation::get("/api/agents", "listAgents", "List agents, by name.")
            .asks::<ListQuery>(&["prefix", "limit", "after", "usage"])
            .gives::<Agents>(200, "A page; `next` is the `after` of the next one.")
            .refuses(LISTED),
        Operation::get("/api/agents/{agentId}", "getAgent", "Look at an agent.")
            .gives::<Info>(200, "The agent.")
            .refuses(IDENTIFIED)
            .refuses(LOOKED_UP),
        Operation::delete(
            "/api/agents/{agentId}",
            "deleteAgent",
            "Interrupt an agent, and remove it for good.",
        )
        .asks::<DeleteQuery>(&["workspace"])
        .gives_nothing(204, "It is gone, and so are its processes.")
        .refuses(IDENTIFIED)
        .refuses(&["draining", "sandbox_unavailable"])
        .refuses(LOOKED_UP),
        Operation::get("/api/agents/{agentId}/status", "getStatus", "What an agent is doing.")
            .gives::<Status>(200, "Its status; one that does not exist looks like a fresh one.")
            .refuses(IDENTIFIED)
            .refuses(LOOKED_UP),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewAgent {
    /// Its name; generated if absent.
    #[schemars(with = "Option<AgentId>")]
    agent_id: Option<String>,
    /// The server's default if absent.
    template_id: Option<TemplateId>,
    /// Your own data, kept and shown.
    #[serde(default)]
    metadata: Map<String, Value>,
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    OptionalJson(body): OptionalJson<NewAgent>,
) -> Result<(StatusCode, Json<Created>), ApiError> {
    let agent_id = match body.agent_id {
        Some(named) => extract::agent(&caller, &named)?,
        None => caller.fresh(&app.pool.runtime().ids().agent_suffix())?,
    };
    app.check_template(body.template_id.as_ref())?;
    let spec = AgentSpec { template: body.template_id, metadata: body.metadata };
    let _turn = caller.may_make(&app.pool, &agent_id).await?;
    let created = app.pool.resume_or_create(&agent_id, spec).await?.created;
    app.users.saw(&agent_id);
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(Created { agent_id: agent_id.into(), created })))
}

#[derive(Deserialize, JsonSchema)]
struct ListQuery {
    /// Only agents under this name, by whole `:` segments.
    #[serde(default)]
    prefix: String,
    /// At most so many: 100 if absent, clamped to 1 to 1,000.
    limit: Option<usize>,
    /// Only agents behind this name.
    #[schemars(with = "Option<AgentId>")]
    after: Option<String>,
    /// Whether each says what it has spent.
    #[serde(default)]
    usage: bool,
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(query): ApiQuery<ListQuery>,
) -> Result<Json<Agents>, ApiError> {
    let after = query.after.as_deref().map(extract::place).transpose()?;
    let limit = page(query.limit, PAGE, PAGE_MAX);
    let found = app.pool.list(&caller.reach().within(&query.prefix), after.as_ref(), limit).await?;
    let shown = |info: kode_pool::AgentInfo| {
        let spent = info.view.as_ref().ok().filter(|_| query.usage).cloned();
        let shown = Info::of(info, caller.reach());
        match spent {
            Some(view) => shown.with_usage(&view),
            None => shown,
        }
    };
    let agents = found.agents.into_iter().map(shown).collect();
    Ok(Json(Agents { agents, next: found.next }))
}

async fn info(
    State(app): State<App>,
    caller: Caller,
    AgentPath(id): AgentPath,
) -> Result<Json<Info>, ApiError> {
    let resident = app.pool.is_resident(&id);
    let view = app.pool.look(&id).await?.ok_or_else(|| ApiError::no_agent(&*id))?;
    Ok(Json(Info::seen(id.into(), resident, &view, caller.reach()).with_lineage(&view, caller.reach())))
}

async fn status(State(app): State<App>, AgentPath(id): AgentPath) -> Result<Json<Status>, ApiError> {
    let view = app.pool.look(&id).await?;
    Ok(Json(Status::of(&app, &id, view.as_deref())))
}

#[derive(Deserialize, JsonSchema)]
struct DeleteQuery {
    /// Whether the files of its work directory go as well.
    #[serde(default)]
    workspace: bool,
}

async fn delete(
    State(app): State<App>,
    AgentPath(id): AgentPath,
    ApiQuery(query): ApiQuery<DeleteQuery>,
) -> Result<StatusCode, ApiError> {
    app.pool.delete(&id, query.workspace).await?;
    Ok(StatusCode::NO_CONTENT)
}
