//! `kode approve` and `kode deny`: a person's word on a call that waits for it.

use kode_core::call::Decision;
use kode_core::id::CallId;
use serde_json::json;

use crate::args::Decide;
use crate::commands;
use crate::failure::Failure;
use crate::operator::{self, Access, Refused, Verdict};
use crate::out::Out;

pub(crate) fn run(command: &Decide, decision: Decision) -> Result<(), Failure> {
    let agent = commands::agent_id(&command.agent)?;
    let call = CallId::new(command.call.as_str());
    let verdict = Verdict { agent, call, decision, note: command.note.clone() };
    let goes_on = commands::block_on(async {
        let operator = operator::open(&command.target, Access::Write).await?;
        operator.decide(&verdict).await.map_err(|refused| with_a_way_on(refused, &verdict))
    })?;
    let mut out = Out::new();
    if command.json {
        let Verdict { agent, call, .. } = &verdict;
        out.line(json!({ "agentId": agent, "callId": call, "decision": decision, "goesOn": goes_on }))?;
    } else {
        out.line(told(&verdict, goes_on))?;
    }
    out.flush()
}

fn told(verdict: &Verdict, goes_on: bool) -> String {
    let Verdict { agent, call, decision, .. } = verdict;
    let done = if *decision == Decision::Allow { "allowed" } else { "denied" };
    if goes_on {
        format!("{done} {call} of {agent}")
    } else {
        format!("{done} {call} of {agent}; it goes on when `kode serve` or `kode chat {agent}` takes it up")
    }
}

/// What can be decided on is for another command to say.
fn with_a_way_on(refused: Refused, verdict: &Verdict) -> Failure {
    match refused {
        Refused::Api { code, message, .. } if code == "approval_not_found" => {
            Failure::failed(format!("{message}; `kode agents show {}` lists those that do", verdict.agent))
        }
        refused => refused.into(),
    }
}
