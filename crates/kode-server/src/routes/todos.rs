//! The todo list of an agent.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use kode_core::todo::{Todo, TodoList};
use serde::Deserialize;

use crate::app::App;
use crate::error::ApiError;
use crate::extract::{AgentPath, ApiJson};

pub(super) fn routes() -> Router<App> {
    Router::new().route("/api/agents/{agentId}/todos", get(read).put(replace))
}

async fn read(State(app): State<App>, AgentPath(id): AgentPath) -> Result<Json<TodoList>, ApiError> {
    let view = app.pool.look(&id).await?.ok_or_else(|| ApiError::no_agent(&*id))?;
    Ok(Json((*view.todos).clone()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTodos {
    todos: Vec<Todo>,
    version: Option<u64>,
}

async fn replace(
    State(app): State<App>,
    AgentPath(id): AgentPath,
    ApiJson(body, _): ApiJson<NewTodos>,
) -> Result<Json<TodoList>, ApiError> {
    let set = |agent: kode_core::Agent| {
        let (todos, version) = (body.todos.clone(), body.version);
        async move { agent.set_todos(todos, version).await }
    };
    let todos = app.pool.ask(&id, set).await?;
    Ok(Json((*todos).clone()))
}
