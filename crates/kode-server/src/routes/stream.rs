//! Events: live, and page by page.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use kode_core::Outgoing;
use kode_core::id::Cursor;
use serde::Deserialize;

use crate::app::App;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::extract::{AgentPath, ApiJson, ApiQuery};
use crate::position::{self, EventsQuery};
use crate::routes::{messages, page};
use crate::shape::Events;
use crate::shown::Shown;
use crate::{idempotency, sse};

/// Events of one page, unless the caller says otherwise.
const EVENTS: usize = 1_000;
/// Most events of one page.
const EVENTS_MAX: usize = 10_000;
/// Most events that one page looks at: rare ones are found over several pages, not in one long request.
const LOOKED_AT_MAX: usize = 50_000;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/agents/{agentId}/stream", get(stream).post(prompt))
        .route("/api/agents/{agentId}/events", get(events))
}

async fn stream(
    State(app): State<App>,
    caller: Caller,
    AgentPath(id): AgentPath,
    ApiQuery(query): ApiQuery<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    sse::open(&app, &caller, &id, &query, &headers).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Prompt {
    prompt: String,
}

async fn prompt(
    State(app): State<App>,
    caller: Caller,
    AgentPath(id): AgentPath,
    headers: HeaderMap,
    ApiJson(body, raw): ApiJson<Prompt>,
) -> Result<Response, ApiError> {
    let key = idempotency::key(&headers, &raw)?;
    let message = Outgoing { key, ..Outgoing::from(body.prompt) };
    let sent = messages::send(&app, &caller, &id, None, message).await?;
    Ok(messages::queued(id, sent))
}

async fn events(
    State(app): State<App>,
    caller: Caller,
    AgentPath(id): AgentPath,
    ApiQuery(query): ApiQuery<EventsQuery>,
) -> Result<Json<Events>, ApiError> {
    let since = query.since.as_deref().map(|since| position::cursor("since", since)).transpose()?;
    let since = since.unwrap_or(Cursor::ZERO);
    let (channels, limit) = (query.channels()?, page(query.limit, EVENTS, EVENTS_MAX));
    let live = app.pool.is_resident(&id);
    let view = app.pool.look(&id).await?.ok_or_else(|| ApiError::no_agent(&*id))?;
    position::check(since, &view, live)?;
    let since = position::kept(&app, &id, since, true).await?;
    let mut reader = app.pool.runtime().subscription(&id, since);
    let (mut events, mut end) = (Vec::new(), false);
    for _ in 0..LOOKED_AT_MAX {
        if events.len() == limit {
            break;
        }
        match reader.next_ready().await? {
            Some(envelope) if channels.has(envelope.event.channel()) => {
                events.push(Shown::to(caller.reach(), envelope));
            }
            Some(_) => {}
            None => {
                end = true;
                break;
            }
        }
    }
    Ok(Json(Events { events, next: reader.cursor(), end }))
}
