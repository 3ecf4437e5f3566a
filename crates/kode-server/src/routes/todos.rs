//! The todo list of an agent.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use kode_core::todo::{Todo, TodoList};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::app::App;
use crate::error::ApiError;
use crate::extract::{AgentPath, ApiJson};
use crate::openapi::{IDENTIFIED, LOOKED_UP, Operation, TAKEN_UP, TODOS};

pub(super) fn routes() -> Router<App> {
    Router::new().route("/api/agents/{agentId}/todos", get(read).put(replace))
}

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/api/agents/{agentId}/todos", "getTodos", "An agent's todo list.")
            .gives::<TodoList>(200, "The list.")
            .refuses(IDENTIFIED)
            .refuses(LOOKED_UP),
        Operation::put("/api/agents/{agentId}/todos", "setTodos", "Replace an agent's todo list.")
            .takes::<NewTodos>()
            .gives::<TodoList>(200, "The new list.")
            .refuses(IDENTIFIED)
            .refuses(TODOS)
            .refuses(TAKEN_UP),
    ]
}

async fn read(State(app): State<App>, AgentPath(id): AgentPath) -> Result<Json<TodoList>, ApiError> {
    let view = app.pool.look(&id).await?.ok_or_else(|| ApiError::no_agent(&*id))?;
    Ok(Json((*view.todos).clone()))
}

#[derive(Deserialize, JsonSchema)]
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
