//! The same agents by user and session: the routes of the design's complete server.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use kode_core::Outgoing;
use kode_core::call::Decision;
use kode_core::fact::SendMode;
use kode_core::id::{CallId, Cursor, TemplateId};
use kode_core::message::Block;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::app::App;
use crate::error::ApiError;
use crate::extract::{self, ApiJson, ApiQuery, OptionalJson, UserPath};
use crate::openapi::{IDENTIFIED, KEYED, LISTED, LOOKED_UP, MADE, Operation, SENT, TAKEN_UP, WATCHED};
use crate::position::EventsQuery;
use crate::routes::approvals::Verdict;
use crate::routes::{PAGE, PAGE_MAX, approvals, messages, page};
use crate::shape::{ChatQueued, ChatStatus, Info, Session, Sessions, Status};
use crate::{idempotency, sse, trace};

/// What the design's server answers: "the message was sent".
const TOLD: &str = "消息已发送";

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/chat/{userId}", post(send))
        .route("/api/chat/{userId}/messages", post(send))
        .route("/api/chat/{userId}/stream", get(stream))
        .route("/api/chat/{userId}/status", get(status))
        .route("/api/chat/{userId}/approve", post(approve))
        .route("/api/chat/{userId}/interrupt", post(interrupt))
        .route("/api/chat/{userId}/sessions", get(sessions))
}

pub(super) fn operations() -> Vec<Operation> {
    vec![
        sends("/api/chat/{userId}", "chat"),
        sends("/api/chat/{userId}/messages", "chatMessage"),
        Operation::get("/api/chat/{userId}/stream", "chatStream", "Events of a user's agent, live.")
            .asks::<EventsQuery>(&["sessionId", "since", "channels", "follow"])
            .hears_last_event_id("The last cursor that was seen; it wins over `since`.")
            .streams("The events.")
            .gives_nothing(204, "A reconnect to an agent that has come to rest: there is no more.")
            .refuses(IDENTIFIED)
            .refuses(WATCHED),
        Operation::get("/api/chat/{userId}/status", "chatStatus", "What a user's agent is doing.")
            .asks::<SessionQuery>(&["sessionId"])
            .gives::<ChatStatus>(200, "Its status and its todos.")
            .refuses(IDENTIFIED)
            .refuses(LOOKED_UP),
        Operation::post(
            "/api/chat/{userId}/approve",
            "chatDecide",
            "Allow or deny a call of a user's agent.",
        )
        .takes::<ChatDecision>()
        .gives::<Done>(200, "The decision is durable.")
        .refuses(IDENTIFIED)
        .refuses(approvals::DECIDED)
        .refuses(TAKEN_UP),
        Operation::post("/api/chat/{userId}/interrupt", "chatInterrupt", "Stop a user's agent.")
            .may_take::<ChatStop>()
            .gives::<Done>(202, "`done` follows once all of it is gone.")
            .refuses(IDENTIFIED)
            .refuses(TAKEN_UP),
        Operation::get("/api/chat/{userId}/sessions", "chatSessions", "The sessions of a user.")
            .asks::<SessionsQuery>(&["limit", "after"])
            .gives::<Sessions>(200, "A page; `next` is the `after` of the next one.")
            .refuses(IDENTIFIED)
            .refuses(LISTED),
    ]
}

fn sends(path: &'static str, id: &'static str) -> Operation {
    Operation::post(path, id, "Send a message to a user's agent, which is taken up or made for it.")
        .asks::<EventsQuery>(&["channels"])
        .hears_idempotency_key()
        .hears_last_event_id(messages::HEARS_SEEN)
        .takes::<ChatMessage>()
        .gives::<ChatQueued>(
            200,
            "The message is durable. With `accept: text/event-stream`, its stream instead.",
        )
        .streams("")
        .gives_nothing(204, messages::NO_MORE)
        .refuses(IDENTIFIED)
        .refuses(MADE)
        .refuses(SENT)
        .refuses(WATCHED)
        .refuses(KEYED)
        .refuses(TAKEN_UP)
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ChatMessage {
    #[schemars(regex(pattern = r"\S"))]
    message: String,
    /// Which conversation of the user's; without it, the one that has no name.
    #[schemars(regex(pattern = r"^[A-Za-z0-9._@~-]*$"), length(max = 190))]
    session_id: Option<String>,
    template_id: Option<TemplateId>,
    #[serde(default)]
    mode: SendMode,
    #[serde(default)]
    metadata: Map<String, Value>,
}

async fn send(
    State(app): State<App>,
    user: UserPath,
    ApiQuery(query): ApiQuery<EventsQuery>,
    headers: HeaderMap,
    ApiJson(body, raw): ApiJson<ChatMessage>,
) -> Result<Response, ApiError> {
    let agent_id = user.agent(body.session_id.as_deref())?;
    let key = idempotency::key(&headers, &raw)?;
    let content = vec![Block::text(body.message)];
    let message = Outgoing {
        content,
        mode: body.mode,
        metadata: body.metadata,
        key,
        id: None,
        trace: trace::of(&app, &headers),
    };
    let channels = query.channels()?;
    let streams = messages::wants_stream(&headers);
    let seen = if streams { sse::seen(&app, &agent_id, &headers).await? } else { Cursor::ZERO };
    let sent = messages::send(&app, user.caller(), &agent_id, body.template_id, message).await?;
    let (message_id, cursor) = (sent.message, sent.cursor);
    if streams {
        let message = (message_id, cursor);
        return Ok(sse::of_message(&app, user.caller(), &agent_id, channels, message, seen).await);
    }
    Ok(Json(ChatQueued { success: true, agent_id: agent_id.into(), message: TOLD, message_id, cursor })
        .into_response())
}

async fn stream(
    State(app): State<App>,
    user: UserPath,
    ApiQuery(query): ApiQuery<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id = user.agent(query.session_id.as_deref())?;
    sse::open(&app, user.caller(), &id, &query, &headers).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct SessionQuery {
    #[schemars(regex(pattern = r"^[A-Za-z0-9._@~-]*$"), length(max = 190))]
    session_id: Option<String>,
}

async fn status(
    State(app): State<App>,
    user: UserPath,
    ApiQuery(query): ApiQuery<SessionQuery>,
) -> Result<Json<ChatStatus>, ApiError> {
    let agent_id = user.agent(query.session_id.as_deref())?;
    let view = app.pool.look(&agent_id).await?;
    let status = Status::of(&app, &agent_id, view.as_deref());
    let todos = view.map(|view| view.todos.todos.clone()).unwrap_or_default();
    Ok(Json(ChatStatus { agent_id: agent_id.into(), status, todos }))
}

/// That it was done.
#[derive(Serialize, JsonSchema)]
struct Done {
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ChatDecision {
    call_id: CallId,
    decision: Decision,
    note: Option<String>,
    input_hash: Option<String>,
    #[schemars(regex(pattern = r"^[A-Za-z0-9._@~-]*$"), length(max = 190))]
    session_id: Option<String>,
}

async fn approve(
    State(app): State<App>,
    user: UserPath,
    ApiJson(body, _): ApiJson<ChatDecision>,
) -> Result<Json<impl Serialize>, ApiError> {
    let id = user.agent(body.session_id.as_deref())?;
    let verdict = Verdict { call: body.call_id, decision: body.decision, note: body.note };
    approvals::decide(&app, user.caller(), &id, verdict, body.input_hash.as_deref()).await?;
    Ok(Json(Done { success: true, status: None }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ChatStop {
    note: Option<String>,
    #[schemars(regex(pattern = r"^[A-Za-z0-9._@~-]*$"), length(max = 190))]
    session_id: Option<String>,
}

async fn interrupt(
    State(app): State<App>,
    user: UserPath,
    OptionalJson(body): OptionalJson<ChatStop>,
) -> Result<(StatusCode, Json<impl Serialize>), ApiError> {
    let id = user.agent(body.session_id.as_deref())?;
    let status = approvals::stop(&app, user.caller(), &id, body.note).await?;
    Ok((StatusCode::ACCEPTED, Json(Done { success: true, status: Some(status) })))
}

#[derive(Deserialize, JsonSchema)]
struct SessionsQuery {
    /// At most so many: 100 if absent, clamped to 1 to 1,000.
    limit: Option<usize>,
    /// Only sessions behind this one.
    after: Option<String>,
}

async fn sessions(
    State(app): State<App>,
    user: UserPath,
    ApiQuery(query): ApiQuery<SessionsQuery>,
) -> Result<Json<Sessions>, ApiError> {
    let prefix = format!("{}:session", *user.agent(None)?);
    let after = query.after.map(|session| extract::place(&format!("{prefix}:{session}"))).transpose()?;
    let found = app.pool.list(&[&prefix], after.as_ref(), page(query.limit, PAGE, PAGE_MAX)).await?;
    let session_of = |id: &str| id.strip_prefix(&prefix)?.strip_prefix(':').map(str::to_owned);
    let next = found.next.and_then(|id| session_of(id.as_str()));
    let session = |agent: kode_pool::AgentInfo| {
        // What lies deeper is not a session but something of one.
        let session_id = session_of(agent.id.as_str()).filter(|session| !session.contains(':'))?;
        Some(Session { session_id, agent: Info::of(agent, user.caller().reach()) })
    };
    Ok(Json(Sessions { sessions: found.agents.into_iter().filter_map(session).collect(), next }))
}
