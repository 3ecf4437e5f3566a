//! Tickets for streams, for those who cannot send headers.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::auth::{Caller, TICKET_SECS};
use crate::error::ApiError;
use crate::extract::{self, ApiJson};
use crate::openapi::{IDENTIFIED, Operation};

pub(super) fn routes() -> Router<App> {
    Router::new().route("/api/stream-tickets", post(issue))
}

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::post(
            "/api/stream-tickets",
            "issueTicket",
            "A ticket for the stream of an agent, for a minute.",
        )
        .takes::<Wish>()
        .gives::<Ticket>(201, "The ticket.")
        .refuses(IDENTIFIED)
        .refuses(&["too_many_tickets"]),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wish {
    #[schemars(with = "kode_core::id::AgentId")]
    agent_id: String,
}

#[derive(Serialize, JsonSchema)]
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
