//! Messages: accepted durably, answered with where to listen; and the history.

use axum::extract::State;
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use kode_core::fact::SendMode;
use kode_core::id::{Cursor, MessageId, Seq, TemplateId};
use kode_core::machine::View;
use kode_core::message::Block;
use kode_core::{AgentSpec, Outgoing, Sent};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::app::App;
use crate::auth::{Caller, Reached};
use crate::error::ApiError;
use crate::extract::{AgentPath, ApiJson, ApiQuery};
use crate::openapi::{IDENTIFIED, KEYED, LOOKED_UP, MADE, Operation, SENT, TAKEN_UP, WATCHED};
use crate::position::EventsQuery;
use crate::routes::{PAGE, PAGE_MAX, page};
use crate::shape::{Messages, Queued};
use crate::{idempotency, sse, trace};

const MESSAGES: &str = "/api/agents/{agentId}/messages";
/// What `Last-Event-ID` means to a route that sends a message, and when it answers 204.
pub(super) const HEARS_SEEN: &str =
    "With a repeat that accepts the stream: the last cursor that was seen of it.";
pub(super) const NO_MORE: &str =
    "A repeat by a client that has seen that stream to its end: there is no more.";

pub(super) fn routes() -> Router<App> {
    Router::new().route("/api/agents/{agentId}/messages", post(create).get(history))
}

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::post(
            MESSAGES,
            "sendMessage",
            "Send a message to an agent, which is taken up or made for it.",
        )
        .asks::<EventsQuery>(&["channels"])
        .hears_idempotency_key()
        .hears_last_event_id(HEARS_SEEN)
        .takes::<NewMessage>()
        .gives::<Queued>(
            202,
            "The message is durable; `cursor` is where a stream begins that shows what it causes.",
        )
        .streams("With `accept: text/event-stream`: the stream of the message, to the `done` that names it.")
        .gives_nothing(204, NO_MORE)
        .refuses(IDENTIFIED)
        .refuses(MADE)
        .refuses(SENT)
        .refuses(WATCHED)
        .refuses(KEYED)
        .refuses(TAKEN_UP),
        Operation::get(MESSAGES, "listMessages", "The history, oldest first.")
            .asks::<HistoryQuery>(&["after", "limit"])
            .gives::<Messages>(200, "A page; `next` is the `after` of the next one.")
            .refuses(IDENTIFIED)
            .refuses(LOOKED_UP),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["text"] }, { "required": ["content"] }]))]
struct NewMessage {
    #[schemars(regex(pattern = r"\S"))]
    text: Option<String>,
    #[schemars(extend("contains" = { "properties": { "text": { "pattern": r"\S" } } }))]
    content: Option<Vec<TextBlock>>,
    /// What happens while a run is under way.
    #[serde(default)]
    mode: SendMode,
    #[serde(default)]
    metadata: Map<String, Value>,
    /// Of a new agent; the server's default if absent.
    template_id: Option<TemplateId>,
}

/// What a person may say: text. No enum with a tag, which would also be read from an array.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TextBlock {
    #[serde(rename = "type")]
    _kind: TextKind,
    text: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum TextKind {
    Text,
}

impl NewMessage {
    fn content(&mut self) -> Result<Vec<Block>, ApiError> {
        match (self.text.take(), self.content.take()) {
            (Some(text), None) => Ok(vec![Block::text(text)]),
            (None, Some(blocks)) => Ok(blocks.into_iter().map(|block| Block::text(block.text)).collect()),
            (Some(_), Some(_)) | (None, None) => {
                Err(ApiError::unprocessable("invalid_request", "give either text or content"))
            }
        }
    }
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    AgentPath(id): AgentPath,
    ApiQuery(query): ApiQuery<EventsQuery>,
    headers: HeaderMap,
    ApiJson(mut body, raw): ApiJson<NewMessage>,
) -> Result<Response, ApiError> {
    let content = body.content()?;
    let key = idempotency::key(&headers, &raw)?;
    let message = Outgoing {
        content,
        mode: body.mode,
        metadata: body.metadata,
        key,
        id: None,
        trace: trace::of(&app, &headers),
    };
    let channels = query.channels()?;
    let streams = wants_stream(&headers);
    let seen = if streams { sse::seen(&app, &id, &headers).await? } else { Cursor::ZERO };
    let sent = send(&app, &caller, &id, body.template_id, message).await?;
    if streams {
        let message = (sent.message, sent.cursor);
        return Ok(sse::of_message(&app, &caller, &id, channels, message, seen).await);
    }
    Ok(queued(id, sent))
}

/// Sends a message to an agent that is taken up or made for it.
pub(super) async fn send(
    app: &App,
    caller: &Caller,
    id: &Reached,
    template: Option<TemplateId>,
    message: Outgoing,
) -> Result<Sent, ApiError> {
    app.check_template(template.as_ref())?;
    if message.content.iter().filter_map(Block::as_text).all(|text| text.trim().is_empty()) {
        // Refused here already: nothing is made for a message with nothing in it.
        return Err(kode_core::machine::Rejected::EmptyMessage.into());
    }
    let _turn = caller.may_run(&app.pool, id).await?;
    let sent = app.pool.send(id, AgentSpec { template, ..AgentSpec::default() }, message).await?;
    app.users.saw(id);
    Ok(sent)
}

/// The answer that says: durable.
pub(super) fn queued(agent_id: Reached, sent: Sent) -> Response {
    let Sent { message, cursor } = sent;
    let body = Queued { status: "queued", agent_id: agent_id.into(), message_id: message, cursor };
    (StatusCode::ACCEPTED, Json(body)).into_response()
}

/// Whether the caller would rather have the message's stream.
pub(crate) fn wants_stream(headers: &HeaderMap) -> bool {
    let kinds = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    kinds.flat_map(|value| value.split(',')).any(|kind| {
        kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/event-stream")
    })
}

#[derive(Deserialize, JsonSchema)]
struct HistoryQuery {
    /// The id of a message, or a seq.
    after: Option<String>,
    /// At most so many: 100 if absent, clamped to 1 to 1,000.
    limit: Option<usize>,
}

async fn history(
    State(app): State<App>,
    AgentPath(id): AgentPath,
    ApiQuery(query): ApiQuery<HistoryQuery>,
) -> Result<Json<Messages>, ApiError> {
    let view = app.pool.look(&id).await?.ok_or_else(|| ApiError::no_agent(&*id))?;
    let from = query.after.map_or(Ok(0), |after| place_after(&view, &after))?;
    let limit = page(query.limit, PAGE, PAGE_MAX);
    let messages: Vec<_> = view.transcript.iter_from(from).take(limit).cloned().collect();
    let more = from + messages.len() < view.transcript.len();
    let next = messages.last().filter(|_| more).map(|last| last.id.clone());
    Ok(Json(Messages { messages, next }))
}

/// Where the history goes on after a message's id, or after a seq.
fn place_after(view: &View, after: &str) -> Result<usize, ApiError> {
    if let Ok(seq) = after.parse().map(Seq) {
        return Ok(view.transcript.iter().take_while(|message| message.seq <= seq).count());
    }
    let id = MessageId::new(after);
    let place = view.transcript.iter().position(|message| message.id == id);
    place.map(|at| at + 1).ok_or_else(|| {
        ApiError::bad_request("invalid_query", "after: neither the id of a message in the history nor a seq")
    })
}
