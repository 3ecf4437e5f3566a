//! Events: live, and page by page.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use kode_core::Outgoing;
use kode_core::id::Cursor;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::app::App;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::extract::{AgentPath, ApiJson, ApiQuery};
use crate::openapi::{IDENTIFIED, KEYED, LOOKED_UP, MADE, Operation, SENT, TAKEN_UP, WATCHED};
use crate::position::{self, EventsQuery};
use crate::routes::{messages, page};
use crate::shape::{Events, Queued};
use crate::shown::Shown;
use crate::{idempotency, sse, trace};

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

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/api/agents/{agentId}/stream", "streamEvents", "Events of an agent, live.")
            .asks::<EventsQuery>(&["since", "channels", "follow"])
            .hears_last_event_id("The last cursor that was seen; it wins over `since`.")
            .streams("The events, to the `done` with which the agent comes to rest.")
            .gives_nothing(204, "A reconnect to an agent that has come to rest: there is no more.")
            .refuses(IDENTIFIED)
            .refuses(WATCHED),
        Operation::post("/api/agents/{agentId}/stream", "prompt", "Send a message, as `sendMessage` does.")
            .hears_idempotency_key()
            .takes::<Prompt>()
            .gives::<Queued>(202, "The message is durable.")
            .refuses(IDENTIFIED)
            .refuses(MADE)
            .refuses(SENT)
            .refuses(KEYED)
            .refuses(TAKEN_UP),
        Operation::get("/api/agents/{agentId}/events", "listEvents", "A page of what an agent told.")
            .asks::<EventsQuery>(&["since", "limit", "channels"])
            .gives::<Events>(
                200,
                "The events; `next` is the `since` of the next page, `end` says that there is none yet.",
            )
            .refuses(IDENTIFIED)
            .refuses(LOOKED_UP)
            .refuses(WATCHED),
    ]
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

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Prompt {
    #[schemars(regex(pattern = r"\S"))]
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
    let message = Outgoing { key, trace: trace::of(&app, &headers), ..Outgoing::from(body.prompt) };
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
    let runtime = app.pool.runtime();
    let mut reader = if live { runtime.subscription(&id, since) } else { runtime.told(&id, since) };
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
