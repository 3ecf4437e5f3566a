//! `kode approve` and `kode deny`: a person's word on a call that waits for it.

use kode_core::call::Decision;
use kode_core::id::CallId;
use serde_json::json;

use crate::args::Decide;
use crate::commands;
use crate::failure::Failure;
use crate::operator::{self, Access, OpenCall, Operator, Refused, Verdict};
use crate::out::Out;
use crate::safe;

pub(crate) fn run(command: &Decide, decision: Decision) -> Result<(), Failure> {
    let agent = commands::agent_id(&command.agent)?;
    let call = CallId::new(command.call.as_str());
    let (note, shown) = (command.note.clone(), command.input_hash.clone());
    let mut verdict = Verdict { agent, call, decision, note, shown };
    let mut out = Out::new();
    let goes_on = commands::block_on(async {
        let operator = operator::open(&command.target, Access::Write).await?;
        if verdict.shown.is_none() {
            let open = open(&*operator, &verdict).await?;
            if let Some(open) = open.as_ref().filter(|_| !command.json) {
                out.line(line(open))?;
                out.flush()?;
            }
            verdict.shown = open.map(|open| open.input_hash);
        }
        operator.decide(&verdict).await.map_err(|refused| with_a_way_on(refused, &verdict))
    })?;
    if command.json {
        let Verdict { agent, call, shown, .. } = &verdict;
        out.line(json!({
            "agentId": agent, "callId": call, "decision": decision, "inputHash": shown, "goesOn": goes_on,
        }))?;
    } else {
        out.line(told(&verdict, goes_on))?;
    }
    out.flush()
}

/// The call that is decided on. One that does not wait is for the decision to refuse.
async fn open(operator: &dyn Operator, verdict: &Verdict) -> Result<Option<OpenCall>, Failure> {
    match operator::open_call(operator, &verdict.agent, &verdict.call).await {
        Err(refused) if refused.is_missing() => Ok(None),
        open => Ok(open?),
    }
}

/// What is decided on, whole, before it is.
fn line(open: &OpenCall) -> String {
    format!("{}: {} {}", open.call_id, safe::line(&open.tool), safe::exact(&open.input.to_string()))
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
