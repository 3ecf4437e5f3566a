//! `kode agents export`: everything of one agent, one JSON object a line.
//!
//! The lines are `{"info":…}`, `{"status":…}`, `{"todos":…}`, then `{"message":…}` and `{"event":…}` for each,
//! oldest first, in the shapes of the API. Messages and events are those up to the status, so that all of
//! them are of one moment, also while the agent runs.

use kode_core::id::{AgentId, Cursor, Seq};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::missing;
use crate::args::One;
use crate::commands;
use crate::commands::events::CHANNELS;
use crate::failure::Failure;
use crate::operator::{self, Access, Operator, Refused};
use crate::out::Out;

/// Messages of one request.
const PAGE: usize = 500;

/// Where the agent stood when the export began.
#[derive(Deserialize)]
struct Moment {
    cursor: Cursor,
    #[serde(rename = "lastBookmark")]
    bookmark: Option<Place>,
}

#[derive(Deserialize)]
struct Place {
    seq: Seq,
}

#[derive(Deserialize)]
struct Messages {
    messages: Vec<Box<RawValue>>,
    next: Option<String>,
}

pub(super) fn run(export: &One) -> Result<(), Failure> {
    let agent = commands::agent_id(&export.agent)?;
    let mut out = Out::new();
    commands::block_on(async {
        let operator = operator::open(&export.target, Access::Read).await?;
        whole(&*operator, &agent, &mut out).await?;
        out.flush()
    })
}

async fn whole(operator: &dyn Operator, agent: &AgentId, out: &mut Out) -> Result<(), Failure> {
    let path = |what: &str| format!("/api/agents/{agent}{what}");
    let mut line = |kind: &str, json: &RawValue| out.line(format!("{{\"{kind}\":{json}}}"));
    let raw = |what: &str| {
        let path = path(what);
        async move { operator::get::<Box<RawValue>>(operator, &path).await }
    };
    let info = raw("").await.map_err(|refused| missing(refused, agent))?;
    let status = raw("/status").await?;
    line("info", &info)?;
    line("status", &status)?;
    line("todos", &raw("/todos").await?)?;
    let moment: Moment = serde_json::from_str(status.get()).map_err(Failure::failed)?;
    messages(operator, agent, &moment, &mut line).await?;
    events(operator, agent, &moment, &mut line).await
}

type Line<'a> = &'a mut dyn FnMut(&str, &RawValue) -> Result<(), Failure>;

async fn messages(
    operator: &dyn Operator,
    agent: &AgentId,
    moment: &Moment,
    line: Line<'_>,
) -> Result<(), Failure> {
    let last = moment.bookmark.as_ref().map_or(Seq::ZERO, |place| place.seq);
    let mut after = String::new();
    loop {
        let path = format!("/api/agents/{agent}/messages?limit={PAGE}{after}");
        let page: Messages = operator::get(operator, &path).await?;
        for message in &page.messages {
            let Place { seq } = serde_json::from_str(message.get()).map_err(Failure::failed)?;
            if seq > last {
                return Ok(());
            }
            line("message", message)?;
        }
        match page.next {
            Some(next) => after = format!("&after={}", operator::encoded(&next)),
            None => return Ok(()),
        }
    }
}

async fn events(
    operator: &dyn Operator,
    agent: &AgentId,
    moment: &Moment,
    line: Line<'_>,
) -> Result<(), Failure> {
    let mut since = Cursor::ZERO;
    loop {
        let (events, next, end) = match operator::events(operator, agent, CHANNELS, since).await {
            // Deleted meanwhile: what was said of it is cut short, and that must be seen.
            Err(refused @ Refused::Api { .. }) => return Err(missing(refused, agent)),
            page => page?,
        };
        for told in &events {
            if told.cursor > moment.cursor {
                return Ok(());
            }
            line("event", &told.json)?;
        }
        since = next;
        if end {
            return Ok(());
        }
    }
}
