//! Whether the process lives, and whether it should get work.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use schemars::JsonSchema;
use serde::Serialize;

use crate::app::App;
use crate::error::ApiError;
use crate::openapi::{Operation, READ};

pub(super) fn routes() -> Router<App> {
    Router::new().route("/healthz", get(alive)).route("/readyz", get(ready))
}

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/healthz", "isAlive", "Whether the process lives.").gives::<Health>(200, "It does."),
        Operation::get("/readyz", "isReady", "Whether the server should get work.")
            .gives::<Health>(200, "It should.")
            .refuses(READ)
            .refuses(&["draining"]),
    ]
}

#[derive(Serialize, JsonSchema)]
struct Health {
    status: &'static str,
}

async fn alive() -> Json<impl Serialize> {
    Json(Health { status: "ok" })
}

async fn ready(State(app): State<App>) -> Result<Json<impl Serialize>, ApiError> {
    if app.is_draining() {
        return Err(kode_pool::PoolError::Draining.into());
    }
    app.pool.runtime().store().ready().await?;
    Ok(Json(Health { status: "ready" }))
}
