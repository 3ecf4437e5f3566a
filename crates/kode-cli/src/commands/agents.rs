//! `kode agents`: lists, shows, exports and removes agents.

mod export;
mod show;
mod watch;

use std::io::{IsTerminal, Write, stderr, stdin};
use std::time::Duration;

use http::Method;
use kode_core::id::{AgentId, Millis};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::args::{Agents, Fork, List, Remove};
use crate::commands;
use crate::failure::Failure;
use crate::operator::{self, Access};
use crate::out::{Out, utc};
use crate::safe;

/// Agents of one request.
const PAGE: usize = 500;

pub(crate) fn run(command: Agents) -> Result<(), Failure> {
    match command {
        Agents::Ls(list) => match list.watch {
            Some(secs) => watch::run(&list, Duration::from_secs(secs)),
            None => ls(&list),
        },
        Agents::Show(show) => show::run(&show),
        Agents::Export(export) => export::run(&export),
        Agents::Fork(fork) => self::fork(&fork),
        Agents::Rm(remove) => rm(&remove),
    }
}

/// An agent of a list, as the API has it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    agent_id: AgentId,
    template_id: Option<String>,
    state: Option<String>,
    updated_at: Option<Millis>,
    message_count: Option<usize>,
    problem: Option<Problem>,
}

/// What hides an agent's state.
#[derive(Debug, Deserialize)]
struct Problem {
    message: String,
}

#[derive(Debug, Deserialize)]
struct Page {
    agents: Vec<Box<RawValue>>,
    next: Option<AgentId>,
}

fn ls(list: &List) -> Result<(), Failure> {
    let prefix = query_value(&list.prefix)?;
    let mut out = Out::new();
    commands::block_on(async {
        let operator = operator::open(&list.target, Access::Read).await?;
        let mut after = String::new();
        let mut first = true;
        loop {
            let path = format!("/api/agents?limit={PAGE}&prefix={prefix}{after}");
            let page: Page = operator::get(&*operator, &path).await?;
            if list.json {
                page.agents.iter().try_for_each(|agent| out.line(agent))?;
            } else {
                out.table(&rows(&page.agents, first)?)?;
            }
            first = false;
            match page.next {
                Some(last) => after = format!("&after={last}"),
                None => return out.flush(),
            }
        }
    })
}

/// A prefix is of the characters of ids: nothing else lies under it.
fn query_value(prefix: &str) -> Result<&str, Failure> {
    let id = prefix.strip_suffix(':').unwrap_or(prefix);
    if !id.is_empty() {
        AgentId::new(id).map_err(|why| Failure::usage(format!("--prefix {prefix:?}: {why}")))?;
    }
    Ok(prefix)
}

fn rows(agents: &[Box<RawValue>], with_names: bool) -> Result<Vec<Vec<String>>, Failure> {
    let names = ["AGENT", "TEMPLATE", "STATE", "MESSAGES", "UPDATED"].map(str::to_owned).to_vec();
    let mut rows: Vec<Vec<String>> = with_names.then_some(names).into_iter().collect();
    for agent in agents {
        let info: Info = serde_json::from_str(agent.get()).map_err(Failure::failed)?;
        rows.push(row(info));
    }
    Ok(rows)
}

fn row(info: Info) -> Vec<String> {
    let unknown = || "?".to_owned();
    vec![
        info.agent_id.to_string(),
        info.template_id.as_deref().map_or_else(unknown, safe::line),
        info.state.map_or_else(unknown, |state| safe::line(&state)),
        info.message_count.map_or_else(unknown, |count| count.to_string()),
        match (info.problem, info.updated_at) {
            (Some(problem), _) => safe::line(&problem.message),
            (None, at) => at.map_or_else(unknown, utc),
        },
    ]
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Forked {
    agent_id: AgentId,
}

fn fork(fork: &Fork) -> Result<(), Failure> {
    let agent = commands::agent_id(&fork.agent)?;
    let new = fork.new.as_deref().map(commands::agent_id).transpose()?;
    let at = fork.at.as_ref().map(|at| at.parse::<u64>().map_or_else(|_| json!(at), |seq| json!(seq)));
    commands::block_on(async {
        let operator = operator::open(&fork.target, Access::Files { workspace: None }).await?;
        let body = json!({ "workspace": fork.workspace, "at": at, "agentId": new });
        let answer = operator.request(Method::POST, &format!("/api/agents/{agent}/fork"), Some(body)).await;
        operator.close().await;
        let answer = answer.map_err(|refused| missing(refused, &agent))?;
        let Forked { agent_id } = operator::read(&answer)?;
        let mut out = Out::new();
        if fork.json {
            out.line(json!({ "agentId": agent_id, "from": agent }))?;
        } else {
            out.line(format!("made {agent_id} out of {agent}"))?;
        }
        out.flush()
    })
}

fn rm(remove: &Remove) -> Result<(), Failure> {
    let agent = commands::agent_id(&remove.agent)?;
    let (access, files, what) = match &remove.workspace {
        Some(workspace) => {
            (Access::Files { workspace: workspace.clone() }, true, "its history and its files")
        }
        None => (Access::Write, false, "its history"),
    };
    if matches!((&remove.workspace, &remove.target.server), (Some(Some(_)), Some(_))) {
        return Err(Failure::usage(
            "a server has a workspace of its own; say --workspace without a directory",
        ));
    }
    // Asked before the store is taken: a person thinks for as long as they like.
    if stdin().is_terminal() && !remove.yes && !confirmed(&format!("Remove {agent} with {what} for good?"))? {
        return Err(Failure::failed("nothing was removed"));
    }
    commands::block_on(async {
        let operator = operator::open(&remove.target, access).await?;
        let path = format!("/api/agents/{agent}?workspace={files}");
        operator.request(Method::DELETE, &path, None).await.map_err(|refused| missing(refused, &agent))?;
        let mut out = Out::new();
        if remove.json {
            out.line(json!({ "agentId": agent, "removed": true, "workspace": files }))?;
        } else {
            out.line(format!("removed {agent} with {what}"))?;
        }
        out.flush()
    })
}

/// The same as the API says, with what a person at a command line can do.
fn missing(refused: operator::Refused, agent: &AgentId) -> Failure {
    if refused.is_missing() {
        Failure::failed(format!("there is no agent {agent}; `kode agents ls` lists those there are"))
    } else {
        refused.into()
    }
}

/// Asks a person, who must say yes.
fn confirmed(question: &str) -> Result<bool, Failure> {
    eprint!("{question} [y/N] ");
    stderr().flush()?;
    let mut answer = String::new();
    stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
