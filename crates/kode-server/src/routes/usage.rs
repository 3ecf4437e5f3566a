//! What keys have spent, as the store counts it.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};

use crate::app::App;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::openapi::{Operation, READ};
use crate::shape::Spending;

const USAGE: &str = "/api/usage";

pub(super) fn routes() -> Router<App> {
    Router::new().route("/api/usage", get(usage))
}

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            USAGE,
            "getUsage",
            "What the caller's key has spent today and yesterday, in UTC; with the right `admin`, what every key has.",
        )
        .gives::<Spending>(200, "The days, today first.")
        .refuses(READ),
    ]
}

async fn usage(State(app): State<App>, caller: Caller) -> Result<Json<Spending>, ApiError> {
    let days = app.config.auth.spent(&app.pool, &caller).await?;
    let currency = app.pool.runtime().prices().currency().map(str::to_owned);
    Ok(Json(Spending { currency, days }))
}
