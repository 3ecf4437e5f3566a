//! `kode agents show`: one agent, with all that a person needs to decide on what waits.

use kode_core::id::{AgentId, Millis};
use serde::Deserialize;
use serde_json::{Value, json};

use super::missing;
use crate::args::One;
use crate::commands;
use crate::failure::Failure;
use crate::operator::{self, Access, Operator, Refused};
use crate::out::{Out, utc};
use crate::safe;

pub(super) fn run(show: &One) -> Result<(), Failure> {
    let agent = commands::agent_id(&show.agent)?;
    let mut out = Out::new();
    commands::block_on(async {
        let operator = operator::open(&show.target, Access::Read).await?;
        let seen = Seen::of(&*operator, &agent).await.map_err(|refused| missing(refused, &agent))?;
        if show.json {
            let Seen { info, status, approvals, todos } = seen;
            out.line(json!({ "info": info, "status": status, "approvals": approvals, "todos": todos }))?;
        } else {
            seen.print(&mut out)?;
        }
        out.flush()
    })
}

/// What the API says of one agent.
struct Seen {
    info: Value,
    status: Value,
    approvals: Vec<Value>,
    todos: Value,
}

#[derive(Deserialize)]
struct Approvals {
    approvals: Vec<Value>,
}

impl Seen {
    async fn of(operator: &dyn Operator, agent: &AgentId) -> Result<Self, Refused> {
        let at = |what: &str| format!("/api/agents/{agent}{what}");
        let Approvals { approvals } = operator::get(operator, &at("/approvals")).await?;
        Ok(Self {
            info: operator::get(operator, &at("")).await?,
            status: operator::get(operator, &at("/status")).await?,
            todos: operator::get(operator, &at("/todos")).await?,
            approvals,
        })
    }

    fn print(&self, out: &mut Out) -> Result<(), Failure> {
        let (info, status) = (&self.info, &self.status);
        let word = |value: &Value| value.as_str().map(safe::line).unwrap_or_default();
        let usage = |name: &str| status["usage"][name].as_u64().unwrap_or_default();
        let id = word(&info["agentId"]);
        let mut rows = vec![
            ("agent", id.clone()),
            ("template", word(&info["templateId"])),
            ("model", word(&status["model"])),
            ("state", format!("{} ({})", word(&status["state"]), word(&status["breakpoint"]))),
            ("created", time(&info["createdAt"])),
            ("updated", time(&info["updatedAt"])),
            ("messages", format!("{}, {} queued", info["messageCount"], status["queued"])),
            ("steps", status["stepCount"].to_string()),
            ("tokens", format!("{} in, {} out", usage("inputTokens"), usage("outputTokens"))),
            ("cursor", status["cursor"].to_string()),
        ];
        if let Some(metadata) = info.get("metadata") {
            rows.push(("metadata", safe::line(&metadata.to_string())));
        }
        let rows: Vec<_> = rows.into_iter().map(|(name, says)| vec![name.to_owned(), says]).collect();
        out.table(&rows)?;
        self.todos["todos"].as_array().into_iter().flatten().try_for_each(|todo| {
            out.line(format!("todo      [{}] {}", word(&todo["status"]), word(&todo["title"])))
        })?;
        self.approvals.iter().try_for_each(|approval| print_approval(out, &id, approval))
    }
}

/// The whole input: nobody should decide on what they cannot see.
fn print_approval(out: &mut Out, agent: &str, approval: &Value) -> Result<(), Failure> {
    let word = |name: &str| approval[name].as_str().map(safe::line).unwrap_or_default();
    let call = word("callId");
    out.line(format!("\nwaits     {call}: {} ({})", word("tool"), word("reason")))?;
    out.line(indented(&safe::exact(&format!("{:#}", approval["input"]))))?;
    out.line(format!("          input hash {}", word("inputHash")))?;
    if let Some(at) = approval["expiresAt"].as_u64() {
        out.line(format!("          counts as denied after {}", utc(at)))?;
    }
    out.line(format!("          kode approve {agent} {call}   or   kode deny {agent} {call} --note WHY"))
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("          {line}")).collect::<Vec<_>>().join("\n")
}

fn time(at: &Value) -> String {
    at.as_u64().map_or_else(String::new, |at: Millis| utc(at))
}
