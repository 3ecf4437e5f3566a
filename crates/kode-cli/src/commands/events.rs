//! `kode events`: what an agent told, from a cursor on, and what it tells.

use std::time::Duration;

use futures_util::StreamExt;
use kode_core::id::{AgentId, Cursor};

use crate::args::Events;
use crate::failure::Failure;
use crate::operator::{self, Access, Operator, Told};
use crate::out::Out;
use crate::{commands, describe};

/// How often a quiet reader sees whether somebody still reads what it prints.
const LOOK: Duration = Duration::from_millis(500);
/// All of them.
pub(crate) const CHANNELS: &str = "progress,control,monitor";

pub(crate) fn run(command: &Events) -> Result<(), Failure> {
    let agent = commands::agent_id(&command.agent)?;
    let channels = command.channels.as_deref().unwrap_or(CHANNELS);
    commands::check_channels(channels)?;
    let mut printer = Printer { out: Out::new(), json: command.json };
    commands::block_on(async {
        let operator = operator::open(&command.target, Access::Read).await?;
        let since = printer.past(&*operator, &agent, channels, Cursor(command.since)).await?;
        if command.follow {
            printer.coming(&*operator, &agent, channels, since).await?;
        }
        Ok(())
    })
}

struct Printer {
    out: Out,
    json: bool,
}

impl Printer {
    /// Prints what is there. Where to go on.
    async fn past(
        &mut self,
        operator: &dyn Operator,
        agent: &AgentId,
        channels: &str,
        mut since: Cursor,
    ) -> Result<Cursor, Failure> {
        loop {
            let (events, next, end) = operator::events(operator, agent, channels, since).await?;
            for told in &events {
                self.print(told)?;
            }
            self.out.flush()?;
            since = next;
            if end {
                return Ok(since);
            }
        }
    }

    /// Prints what comes, until the agent is deleted.
    async fn coming(
        &mut self,
        operator: &dyn Operator,
        agent: &AgentId,
        channels: &str,
        since: Cursor,
    ) -> Result<(), Failure> {
        let mut events = operator.follow(agent, channels, since);
        loop {
            tokio::select! {
                told = events.next() => match told {
                    Some(told) => self.print(&told?).and_then(|()| self.out.flush())?,
                    None => break,
                },
                () = tokio::time::sleep(LOOK) => if self.out.is_closed() {
                    return Ok(());
                },
            }
        }
        eprintln!("kode: the agent {agent} was deleted; nothing more will come");
        Ok(())
    }

    fn print(&mut self, told: &Told) -> Result<(), Failure> {
        let json = told.json.get();
        if self.json { self.out.line(json) } else { self.out.line(describe::line(json)) }
    }
}
