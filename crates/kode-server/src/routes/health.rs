//! Whether the process lives, and whether it should get work.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use crate::app::App;
use crate::error::ApiError;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/healthz", get(alive)).route("/readyz", get(ready))
}

#[derive(Serialize)]
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
