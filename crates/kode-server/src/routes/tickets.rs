//! Tickets for streams, for those who cannot send headers.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::auth::{Caller, TICKET_SECS};
use crate::error::ApiError;
use crate::extract::{self, ApiJson};

pub(super) fn routes() -> Router<App> {
    Router::new().route("/api/stream-tickets", post(issue))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wish {
    agent_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ticket {
    ticket: String,
    expires_in_seconds: u32,
}

async fn issue(
    State(app): State<App>,
    caller: Caller,
    ApiJson(body, _): ApiJson<Wish>,
) -> Result<(StatusCode, Json<impl Serialize>), ApiError> {
    let agent = extract::agent(&caller, &body.agent_id)?;
    let ticket = app.config.auth.issue(&caller, &agent)?;
    Ok((StatusCode::CREATED, Json(Ticket { ticket, expires_in_seconds: TICKET_SECS })))
}
