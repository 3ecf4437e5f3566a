//! Server-sent events: a reader of one agent as the body of a response.
//!
//! The body pulls: it reads on only when the connection takes more, so a slow client costs its cursor and
//! one chunk. Nothing here touches the run that it shows.

use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use kode_core::event::{Channels, Envelope, Event};
use kode_core::hub::Subscription;
use kode_core::id::{AgentId, Cursor, MessageId};

use crate::app::App;
use crate::auth::{Caller, Reached};
use crate::error::ApiError;
use crate::metrics::OpenStream;
use crate::position::{self, EventsQuery, Position};
use crate::shown::Shown;

/// Frames that are there already share a chunk up to this many bytes.
const CHUNK: usize = 8 * 1024;
/// A comment: keeps the line open, and is no event. No empty line follows it: that would end an event, and clients that
/// are in use (fetch-event-source, httpx-sse) give such a one to their users, with no data in it.
const HEARTBEAT: &[u8] = b":\n";

/// With which event a stream ends.
enum End {
    /// With none.
    Never,
    /// With the `done` that names the message.
    Message(MessageId),
    /// With the `done` after which the agent is at rest and nothing is left to show. Dones up to
    /// `last_done` are known to be followed by more, but for that one itself.
    Rest { last_done: Cursor },
}

/// Opens a stream of an agent, as the request asks.
pub(crate) async fn open(
    app: &App,
    caller: &Caller,
    id: &Reached,
    query: &EventsQuery,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let position = Position::of(headers, query.since.as_deref())?;
    let channels = query.channels()?;
    let live = app.pool.is_resident(id);
    let Some(view) = app.pool.look(id).await? else {
        return match position {
            Position::Live => {
                let end = if query.follow { End::Never } else { End::Rest { last_done: Cursor::ZERO } };
                Ok(Reader::new(app, caller, id, Cursor::ZERO, channels, end).into_response())
            }
            Position::Since(_) | Position::Reconnect(_) => Err(ApiError::no_agent(&**id)),
        };
    };
    if let Some(cursor) = position.cursor() {
        position::check(cursor, &view, live)?;
    }
    let after = position.cursor().or(view.turn_began).unwrap_or(view.cursor);
    let after = position::kept(app, id, after, position.cursor().is_some()).await?;
    let last_done = view.last_done;
    let end = if query.follow { End::Never } else { End::Rest { last_done } };
    let mut reader = Reader::new(app, caller, id, after, channels, end);
    let is_over = view.at_rest && !query.follow && last_done > Cursor::ZERO;
    if is_over && matches!(position, Position::Reconnect(_)) {
        // A browser connects again after each end; only this tells it that there is no more.
        if after >= last_done || !reader.look_ahead().await {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
    }
    Ok(reader.into_response())
}

/// How far a client had read that posts its message once more because it lost the stream of it.
pub(crate) async fn seen(app: &App, id: &Reached, headers: &HeaderMap) -> Result<Cursor, ApiError> {
    let Position::Reconnect(seen) = Position::of(headers, None)? else { return Ok(Cursor::ZERO) };
    let live = app.pool.is_resident(id);
    if let Some(view) = app.pool.look(id).await? {
        position::check(seen, &view, live)?;
        position::kept(app, id, seen, true).await?;
    }
    Ok(seen)
}

/// The stream of one message, to the `done` that names it, without what its client has seen.
pub(crate) async fn of_message(
    app: &App,
    caller: &Caller,
    id: &Reached,
    channels: Channels,
    (message, began): (MessageId, Cursor),
    seen: Cursor,
) -> Response {
    // Read from its beginning: its `done` may be among what was seen.
    let mut reader = Reader::new(app, caller, id, began, channels, End::Message(message));
    reader.seen = seen;
    if seen > began && !reader.look_ahead().await && reader.over {
        return StatusCode::NO_CONTENT.into_response();
    }
    reader.into_response()
}

/// One client's place in an agent's events.
struct Reader {
    app: App,
    caller: Caller,
    agent: AgentId,
    events: Subscription,
    channels: Channels,
    /// Events up to here are read and not shown.
    seen: Cursor,
    end: End,
    /// Frames that were read before the response began.
    ahead: String,
    over: bool,
    /// Held, so that it counts as open.
    _open: OpenStream,
}

impl Reader {
    fn new(app: &App, caller: &Caller, id: &Reached, after: Cursor, channels: Channels, end: End) -> Self {
        let events = app.pool.runtime().subscription(id, after);
        let (app, caller, agent) = (app.clone(), caller.clone(), (**id).clone());
        let _open = app.config.metrics.stream();
        let (seen, ahead) = (Cursor::ZERO, String::new());
        Self { app, caller, agent, events, channels, seen, end, ahead, over: false, _open }
    }

    /// Reads what is there without waiting. Whether any of it is to be shown.
    async fn look_ahead(&mut self) -> bool {
        let mut frames = String::new();
        self.take_ready(&mut frames).await;
        self.ahead = frames;
        !self.ahead.is_empty()
    }

    /// The next piece of the body; `None` at its end, and for one who may no longer read: a key that is revoked is
    /// dead for the streams that it opened as well.
    async fn chunk(&mut self) -> Option<Bytes> {
        let chunk = self.read().await?;
        self.caller.stands().then_some(chunk)
    }

    async fn read(&mut self) -> Option<Bytes> {
        let mut frames = std::mem::take(&mut self.ahead);
        let quiet = tokio::time::sleep(self.app.config.heartbeat);
        tokio::pin!(quiet);
        while frames.is_empty() && !self.over {
            let next = tokio::select! {
                biased;
                () = self.app.shutdown.cancelled() => return None,
                next = self.events.next() => next,
                () = &mut quiet => return Some(Bytes::from_static(HEARTBEAT)),
            };
            match next {
                Ok(Some(envelope)) => self.take(&envelope, &mut frames).await,
                Ok(None) => self.over = true,
                Err(error) => {
                    // The client goes on from its cursor when it connects again.
                    tracing::warn!(agent = %self.agent, %error, "a stream ended: the store could not be read");
                    self.over = true;
                }
            }
            self.take_ready(&mut frames).await;
        }
        // A reader that stalls keeps it, and a string that grew has room for as much again.
        frames.shrink_to_fit();
        (!frames.is_empty()).then(|| frames.into())
    }

    /// Takes what is there already into the same write.
    async fn take_ready(&mut self, frames: &mut String) {
        while !self.over && frames.len() < CHUNK {
            // An error is met again, and told, by the next read that waits.
            let Ok(Some(envelope)) = self.events.next_ready().await else { return };
            self.take(&envelope, frames).await;
        }
    }

    async fn take(&mut self, envelope: &Arc<Envelope>, frames: &mut String) {
        if envelope.cursor > self.seen && self.channels.has(envelope.event.channel()) {
            let shown = Shown::to(self.caller.reach(), envelope.clone());
            write!(frames, "id: {}\ndata: {}\n\n", envelope.cursor, shown.json())
                .expect("a string takes everything");
        }
        if let Event::Done { message_ids, at_rest, .. } = &envelope.event {
            self.over = self.ends_with(envelope.cursor, message_ids, *at_rest).await;
        }
    }

    /// Whether the stream ends with this `done`.
    async fn ends_with(&mut self, cursor: Cursor, messages: &[MessageId], at_rest: bool) -> bool {
        match &mut self.end {
            End::Never => false,
            End::Message(message) => messages.contains(message),
            End::Rest { last_done } if !at_rest || cursor < *last_done => false,
            // It rested with this one once. Whether it still does, only its present state tells: a replay
            // passes over the dones of earlier turns.
            End::Rest { last_done } => match self.app.pool.look(&self.agent).await {
                Ok(Some(view)) => {
                    *last_done = view.last_done;
                    view.at_rest && view.last_done <= cursor
                }
                Ok(None) | Err(_) => true,
            },
        }
    }
}

impl IntoResponse for Reader {
    fn into_response(self) -> Response {
        let chunks = stream::unfold(self, |mut reader| async move {
            let chunk = reader.chunk().await?;
            Some((Ok::<_, Infallible>(chunk), reader))
        });
        let headers = [
            (CONTENT_TYPE.as_str(), "text/event-stream; charset=utf-8"),
            (CACHE_CONTROL.as_str(), "no-cache, no-transform"),
            ("x-accel-buffering", "no"),
        ];
        (headers, Body::from_stream(chunks)).into_response()
    }
}
