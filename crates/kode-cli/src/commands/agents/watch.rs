//! `kode agents ls --watch`: a table of agents that is drawn again and again, those at work first.

use std::cmp::Reverse;
use std::io::{IsTerminal, stdout};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kode_core::id::{AgentId, Millis};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{PAGE, Page, query_value};
use crate::args::List;
use crate::commands;
use crate::failure::Failure;
use crate::operator::{self, Access, Operator};
use crate::out::{Out, money};
use crate::safe;

/// Agents that are looked at for one table, at most: who has more names a prefix.
const MOST: usize = 2_000;
/// Rows where nothing is known of the terminal.
const ROWS: usize = 40;
/// To the upper left corner, and nothing below.
const CLEAR: &str = "\u{1b}[H\u{1b}[J";

/// An agent of a list, as the API has it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Seen {
    agent_id: AgentId,
    state: Option<String>,
    step_count: Option<u32>,
    usage: Option<Usage>,
    updated_at: Option<Millis>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Usage {
    total_tokens: u64,
    cost_micros: u64,
}

pub(super) fn run(list: &List, every: Duration) -> Result<(), Failure> {
    let prefix = query_value(&list.prefix)?;
    let (mut out, is_terminal) = (Out::new(), stdout().is_terminal());
    commands::block_on(async {
        let operator = operator::open(&list.target, Access::Read).await?;
        loop {
            let (agents, more) = look(&*operator, prefix).await?;
            if is_terminal {
                out.part(CLEAR)?;
            }
            let most = if is_terminal { rows_of_terminal() } else { usize::MAX };
            draw(&mut out, agents, more, most, now())?;
            out.flush()?;
            tokio::time::sleep(every).await;
            if out.is_closed() {
                return Ok(());
            }
            if !is_terminal {
                out.line("")?;
            }
        }
    })
}

/// All agents under the prefix, in bounds, and whether there are more.
async fn look(operator: &dyn Operator, prefix: &str) -> Result<(Vec<Seen>, bool), Failure> {
    let (mut agents, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/agents?limit={PAGE}&usage=true&prefix={prefix}{after}");
        let page: Page = operator::get(operator, &path).await?;
        let read = |agent: &RawValue| serde_json::from_str(agent.get()).map_err(Failure::failed);
        agents.extend(page.agents.iter().map(|agent| read(agent)).collect::<Result<Vec<Seen>, _>>()?);
        match page.next {
            Some(last) if agents.len() < MOST => after = format!("&after={last}"),
            next => return Ok((agents, next.is_some())),
        }
    }
}

fn draw(out: &mut Out, mut agents: Vec<Seen>, more: bool, most: usize, now: Millis) -> Result<(), Failure> {
    let count = |state: &str| agents.iter().filter(|seen| seen.state.as_deref() == Some(state)).count();
    let plus = if more { "+" } else { "" };
    let total = agents.len();
    out.line(format!("{total}{plus} agents, {} at work, {} paused", count("WORKING"), count("PAUSED")))?;
    agents.sort_by_key(|seen| (rank(seen), Reverse(seen.updated_at), seen.agent_id.clone()));
    let names = ["AGENT", "STATE", "STEPS", "TOKENS", "COST", "AGE"].map(str::to_owned).to_vec();
    // The head, the names and the last line take three.
    let shown = agents.iter().take(most.saturating_sub(3));
    let rows: Vec<Vec<String>> = [names].into_iter().chain(shown.map(|seen| row(seen, now))).collect();
    out.table(&rows)
}

/// Those at work first, then those that wait for a person.
fn rank(seen: &Seen) -> u8 {
    match seen.state.as_deref() {
        Some("WORKING") => 0,
        Some("PAUSED") => 1,
        _ => 2,
    }
}

fn row(seen: &Seen, now: Millis) -> Vec<String> {
    let unknown = || "?".to_owned();
    let usage = |of: fn(&Usage) -> String| seen.usage.as_ref().map_or_else(unknown, of);
    vec![
        seen.agent_id.to_string(),
        seen.state.as_deref().map_or_else(unknown, safe::line),
        seen.step_count.map_or_else(unknown, |steps| steps.to_string()),
        usage(|usage| usage.total_tokens.to_string()),
        usage(|usage| money(usage.cost_micros)),
        seen.updated_at.map_or_else(unknown, |at| age(now.saturating_sub(at))),
    ]
}

/// Since something last happened, in one unit.
fn age(ms: Millis) -> String {
    let secs = ms / 1_000;
    match secs {
        0..60 => format!("{secs}s"),
        60..3_600 => format!("{}m", secs / 60),
        3_600..86_400 => format!("{}h", secs / 3_600),
        _ => format!("{}d", secs / 86_400),
    }
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}

fn rows_of_terminal() -> usize {
    let size = rustix::termios::tcgetwinsize(stdout());
    size.map(|size| usize::from(size.ws_row)).ok().filter(|rows| *rows > 0).unwrap_or(ROWS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_one_unit() {
        let ages = [0, 59_999, 60_000, 3_600_000, 200_000_000].map(age);
        assert_eq!(ages, ["0s", "59s", "1m", "1h", "2d"]);
    }

    #[test]
    fn those_at_work_come_first_and_then_who_did_something_last() {
        let seen = |id: &str, state: &str, at: Millis| Seen {
            agent_id: AgentId::new(id).unwrap(),
            state: Some(state.to_owned()),
            step_count: Some(1),
            usage: Some(Usage { total_tokens: 7, cost_micros: 1_500_000 }),
            updated_at: Some(at),
        };
        let mut agents =
            [seen("a", "READY", 1), seen("b", "READY", 9), seen("c", "PAUSED", 2), seen("d", "WORKING", 3)];
        agents.sort_by_key(|seen| (rank(seen), Reverse(seen.updated_at), seen.agent_id.clone()));
        let order: Vec<&str> = agents.iter().map(|seen| seen.agent_id.as_str()).collect();
        assert_eq!(order, ["d", "c", "b", "a"]);
        assert_eq!(row(&agents[0], 5_003), ["d", "WORKING", "1", "7", "1.50", "5s"]);
    }
}
