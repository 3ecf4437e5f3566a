//! From where a reader wants events: the query and the header that say so, and what refuses them.

use axum::http::HeaderMap;
use kode_core::event::Channels;
use kode_core::id::{AgentId, Cursor};
use kode_core::machine::View;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::app::App;
use crate::error::ApiError;

/// The query of every route that gives events.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventsQuery {
    /// Only events behind this cursor.
    #[schemars(with = "Option<Cursor>")]
    pub(crate) since: Option<String>,
    /// A comma list of `progress`, `control`, `monitor`; `progress,monitor` if absent.
    #[schemars(regex(
        pattern = r"^\s*(progress|control|monitor)?\s*(,\s*(progress|control|monitor)?\s*)*$"
    ))]
    pub(crate) channels: Option<String>,
    /// Whether the stream goes on when the agent comes to rest.
    #[serde(default)]
    pub(crate) follow: bool,
    /// At most so many: 1,000 if absent, clamped to 1 to 10,000.
    pub(crate) limit: Option<usize>,
    /// Which conversation of the user's.
    #[schemars(regex(pattern = r"^[A-Za-z0-9._@~-]*$"), length(max = 190))]
    pub(crate) session_id: Option<String>,
}

impl EventsQuery {
    /// The channels asked for; a blank list is the default.
    pub(crate) fn channels(&self) -> Result<Channels, ApiError> {
        let list = self.channels.as_deref().filter(|list| !list.trim().is_empty());
        list.map_or(Ok(Channels::default()), |list| {
            list.parse().map_err(|why| ApiError::bad_request("invalid_query", format!("channels: {why}")))
        })
    }
}

/// From where a reader wants events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position {
    /// From the run under way, or from now on.
    Live,
    /// After this cursor.
    Since(Cursor),
    /// After this cursor, where a browser lost its stream.
    Reconnect(Cursor),
}

impl Position {
    /// The header wins over the query.
    pub(crate) fn of(headers: &HeaderMap, since: Option<&str>) -> Result<Self, ApiError> {
        let header = headers.get("last-event-id").filter(|id| !id.is_empty());
        match (header, since) {
            (Some(id), _) => cursor("last-event-id", id.to_str().unwrap_or_default()).map(Self::Reconnect),
            (None, Some(since)) => cursor("since", since).map(Self::Since),
            (None, None) => Ok(Self::Live),
        }
    }

    /// The cursor, where one is given.
    pub(crate) fn cursor(self) -> Option<Cursor> {
        match self {
            Self::Live => None,
            Self::Since(cursor) | Self::Reconnect(cursor) => Some(cursor),
        }
    }
}

/// Reads a cursor.
pub(crate) fn cursor(name: &str, text: &str) -> Result<Cursor, ApiError> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits).map(Cursor).ok_or_else(|| {
        ApiError::bad_request(
            "invalid_cursor",
            format!("{name}: a cursor is a whole number, as events have it"),
        )
    })
}

/// Refuses a cursor that this agent has never given: one of an epoch that was not granted, or beyond the
/// head of the one that is `live`. Within an older epoch any count is good: its tail may have been lost
/// with the power, and what came after is what follows.
pub(crate) fn check(cursor: Cursor, view: &View, live: bool) -> Result<(), ApiError> {
    let head = view.cursor;
    let beyond = live && cursor.epoch() == head.epoch() && cursor.count() > head.count();
    if beyond || cursor.epoch() > head.epoch() {
        let message = format!("the cursor {cursor} is from the future: this agent's last one is {head}");
        return Err(ApiError::bad_request("cursor_from_future", message));
    }
    Ok(())
}

/// Refuses a cursor behind which events are forgotten. Zero, and a run that began before, start with the oldest
/// event that is kept.
pub(crate) async fn kept(app: &App, id: &AgentId, after: Cursor, named: bool) -> Result<Cursor, ApiError> {
    let oldest = app.pool.runtime().oldest(id).await?;
    if named && after > Cursor::ZERO && after < oldest {
        return Err(ApiError::expired(oldest));
    }
    Ok(after.max(oldest))
}

#[cfg(test)]
mod tests {
    use kode_core::id::Epoch;
    use kode_core::machine::State;

    use super::*;

    fn at(epoch: u32, count: u32) -> Cursor {
        Cursor::start_of(Epoch(epoch)).plus(count)
    }

    fn refused(cursor: Cursor, live: bool) -> bool {
        let view = View::of(&State { cursor: at(7, 10), ..State::default() });
        check(cursor, &view, live).is_err()
    }

    #[test]
    fn only_a_live_epoch_or_one_never_granted_makes_a_cursor_one_from_the_future() {
        let good = [at(7, 10), at(7, 0), at(6, 99), Cursor::ZERO];
        assert!(good.into_iter().all(|cursor| !refused(cursor, true) && !refused(cursor, false)));
        assert!(refused(at(7, 11), true));
        assert!(!refused(at(7, 11), false), "its tail may have been lost with the power");
        assert!(refused(at(8, 0), true) && refused(at(8, 0), false) && refused(Cursor(u64::MAX), false));
    }

    #[test]
    fn a_cursor_is_digits_and_nothing_else() {
        assert_eq!(cursor("since", "12").unwrap(), Cursor(12));
        for text in ["", "-1", "+1", "1.0", "x", "99999999999999999999", " 1"] {
            assert_eq!(cursor("since", text).unwrap_err().code, "invalid_cursor", "{text:?}");
        }
    }
}
