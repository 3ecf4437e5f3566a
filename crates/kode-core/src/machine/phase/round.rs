//! The round of calls between two requests: look up → schema → policy → hooks → approval → run → result.

use crate::call::{Approval, CallState, Decision};
use crate::event::{AgentState, Breakpoint};
use crate::fact::{Fact, Stop};
use crate::hook::Verdict;
use crate::id::Millis;
use crate::machine::{Cx, OpenCall, Round, Ruled, Ruling, State, rule};

use super::{STOP_GRACE, after, ending, shift};

/// What stands between a call and its start.
enum Gate {
    /// It ends here.
    End(Box<Fact>),
    /// A policy or the hooks are asked.
    Says(Asks),
    /// A person is to be asked.
    Ask(String),
    /// A person was asked.
    Undecided,
    /// Nothing.
    Open,
}

/// Whose say on a call is to be asked for.
pub(in crate::machine) enum Asks {
    /// That of the host's policy of this name.
    Policy(String),
    /// That of the hooks.
    Hooks,
}

/// The next move of a round.
pub(in crate::machine) fn advance(state: &State, cx: &Cx<'_>, round: &Round) -> Option<Fact> {
    let turn = state.turn.as_ref()?;
    let open = || round.calls.iter().filter(|c| !c.ended());
    open()
        .find_map(|call| lost(state, cx, call))
        .or_else(|| turn.stop.as_ref().and_then(|(stop, at)| open().find_map(|c| stopping(cx, c, stop, *at))))
        .or_else(|| open().find_map(|call| expired(cx, call)))
        .or_else(|| open().find_map(|call| overruled(cx, call)))
        .or_else(|| open().find_map(|call| overdue(state, cx, call)))
        .or_else(|| if turn.stop.is_some() { None } else { admit(state, cx, round) })
        .or_else(|| round.calls.iter().all(OpenCall::ended).then(|| step_ended(state, cx, round)))
}

/// A call that ran under an older writer: once more if it may be, else its outcome is unknown, unless the host
/// is to say what became of it.
fn lost(state: &State, cx: &Cx<'_>, call: &OpenCall) -> Option<Fact> {
    let lost = call.running() && call.epoch < state.epoch && !state.is_unsettled(&call.call.id);
    let replay =
        call.traits.is_some_and(|t| t.replayable) && state.turn.as_ref().is_some_and(|t| t.stop.is_none());
    lost.then(|| if replay { started(state, call) } else { ending::unknown(cx, call) })
}

/// A call of a run that is being stopped: a running one waits until it is gone, within bounds.
fn stopping(cx: &Cx<'_>, call: &OpenCall, stop: &Stop, since: Millis) -> Option<Fact> {
    if call.undecided() {
        let by = match stop {
            Stop::Interrupt { .. } => "interrupt".to_owned(),
            Stop::Limit { .. } => "limit".to_owned(),
        };
        let decision = Decision::Deny;
        return Some(Fact::PermissionDecided { call: call.call.id.clone(), decision, by, note: None });
    }
    (!call.running() || cx.now >= since + STOP_GRACE).then(|| ending::stopped(cx, call, stop))
}

/// An approval that nobody gave in time.
fn expired(cx: &Cx<'_>, call: &OpenCall) -> Option<Fact> {
    let expires = call.call.approval.as_ref().and_then(|a| a.expires_at);
    (call.undecided() && expires.is_some_and(|at| at <= cx.now)).then(|| Fact::PermissionDecided {
        call: call.call.id.clone(),
        decision: Decision::Deny,
        by: "expiry".into(),
        note: Some("nobody decided in time".into()),
    })
}

/// An approval for what policy refuses by now: the template in force is not the one that asked.
fn overruled(cx: &Cx<'_>, call: &OpenCall) -> Option<Fact> {
    let Ok(Ruling::Deny(why)) = ruling(cx, call) else { return None };
    call.undecided().then(|| Fact::PermissionDecided {
        call: call.call.id.clone(),
        decision: Decision::Deny,
        by: "policy".into(),
        note: Some(why),
    })
}

fn overdue(state: &State, cx: &Cx<'_>, call: &OpenCall) -> Option<Fact> {
    let overdue = call.running() && timeout(state, cx, call).is_some_and(|at| at <= cx.now);
    overdue.then(|| ending::timed_out(cx, call))
}

/// When a running call has had its time; never for one that the host is to settle.
fn timeout(state: &State, cx: &Cx<'_>, call: &OpenCall) -> Option<Millis> {
    if state.is_unsettled(&call.call.id) {
        return None;
    }
    call.call.started_at.map(|at| after(at, cx.template.limits.tool_timeout_secs))
}

/// Ends what may not run, starts what may, and asks for the rest together once nothing else is under way.
fn admit(state: &State, cx: &Cx<'_>, round: &Round) -> Option<Fact> {
    if state.unsettled().next().is_some() {
        return None;
    }
    let waiting = || round.calls.iter().filter(|c| !c.ended() && !c.running());
    let gates: Vec<(&OpenCall, Gate)> = waiting().map(|c| (c, gate(cx, c))).collect();
    let running = round.calls.iter().filter(|c| c.running()).count();
    let mut asks = Vec::new();
    let mut says = false;
    let mut held_back = false;
    let mut undecided = false;
    for (call, gate) in gates {
        match gate {
            Gate::End(fact) => return Some(*fact),
            Gate::Open if running < cx.template.limits.parallel_tools.max(1) => {
                return Some(started(state, call));
            }
            Gate::Open => held_back = true,
            Gate::Says(_) => says = true,
            Gate::Undecided => undecided = true,
            Gate::Ask(reason) => asks.push((call, reason)),
        }
    }
    if running > 0 || says || held_back {
        return None;
    }
    if !asks.is_empty() {
        return Some(requested(state, cx, asks));
    }
    let paused = undecided.then(|| shift(state, AgentState::Paused, Breakpoint::AwaitingApproval)).flatten();
    paused.map(|shift| Fact::Paused { shift })
}

fn gate(cx: &Cx<'_>, open: &OpenCall) -> Gate {
    if let Some(problem) = &open.problem {
        return Gate::End(Box::new(ending::failed(cx, open, problem.clone())));
    }
    let ruling = match ruling(cx, open) {
        Ok(ruling) => ruling,
        Err(policy) => return unruled(cx, open, policy),
    };
    match (ruling, &open.verdict, &open.call.approval) {
        (Ruling::Deny(why), _, _) => Gate::End(Box::new(ending::denied(cx, open, why))),
        (_, None, None) if cx.hooks.on(&open.call.name) => Gate::Says(Asks::Hooks),
        (_, Some(Verdict::Deny { reason }), _) => {
            Gate::End(Box::new(ending::denied(cx, open, reason.clone())))
        }
        (_, Some(Verdict::Result { value }), _) => {
            Gate::End(Box::new(ending::completed(cx, open, value.clone(), None)))
        }
        (_, _, Some(approval)) => decided(cx, open, approval),
        (_, Some(Verdict::Ask { reason }), None) => Gate::Ask(reason.clone()),
        (Ruling::Ask(reason), _, None) => Gate::Ask(reason),
        (Ruling::Allow, Some(Verdict::Continue) | None, None) => Gate::Open,
    }
}

/// What the permission in force says of a call, or the policy that has not spoken yet. What another policy said
/// under another template does not count.
fn ruling<'a>(cx: &Cx<'a>, open: &OpenCall) -> Result<Ruling, &'a str> {
    match rule(&cx.template.permission, &open.call.name, open.traits.unwrap_or_default()) {
        Ruled::Here(ruling) => Ok(ruling),
        Ruled::By(policy) => {
            let said = open.ruled.as_ref().filter(|(by, _)| by == policy);
            said.map(|(_, ruling)| ruling.clone()).ok_or(policy)
        }
    }
}

/// A call on which the policy in force has not spoken. Where a person was asked, another template was in force: what
/// they allowed then is not allowed by this one.
fn unruled(cx: &Cx<'_>, open: &OpenCall, policy: &str) -> Gate {
    match open.call.approval.as_ref().map(|approval| (approval, approval.decision)) {
        None => Gate::Says(Asks::Policy(policy.to_owned())),
        Some((_, Some(Decision::Allow))) => Gate::End(Box::new(ending::outdated(cx, open))),
        Some((approval, Some(Decision::Deny) | None)) => decided(cx, open, approval),
    }
}

fn decided(cx: &Cx<'_>, open: &OpenCall, approval: &Approval) -> Gate {
    match approval.decision {
        None => Gate::Undecided,
        Some(Decision::Allow) => Gate::Open,
        Some(Decision::Deny) => {
            let by = approval.decided_by.as_deref().unwrap_or("the approver");
            let why = match &approval.note {
                Some(note) => format!("{} was denied by {by}: {note}", open.call.name),
                None => format!("{} was denied by {by}", open.call.name),
            };
            Gate::End(Box::new(ending::denied(cx, open, why)))
        }
    }
}

fn requested(state: &State, cx: &Cx<'_>, asks: Vec<(&OpenCall, String)>) -> Fact {
    let expires_at = cx.template.permission.expire_secs.map(|secs| after(cx.now, secs));
    let asked = |(open, reason): (&OpenCall, String)| {
        let mut call = open.call.clone().entering(CallState::ApprovalRequired, cx.now, Some(reason.clone()));
        call.approval = Some(Approval {
            reason,
            requested_at: cx.now,
            expires_at,
            decision: None,
            decided_by: None,
            note: None,
        });
        call
    };
    Fact::ApprovalsRequested {
        calls: asks.into_iter().map(asked).collect(),
        shift: crate::fact::Shift {
            from: state.stage,
            to: (AgentState::Paused, Breakpoint::AwaitingApproval),
        },
    }
}

fn started(state: &State, open: &OpenCall) -> Fact {
    Fact::ToolStarted {
        call: open.call.id.clone(),
        attempt: open.attempt + 1,
        shift: shift(state, AgentState::Working, Breakpoint::ToolExecuting),
    }
}

fn step_ended(state: &State, cx: &Cx<'_>, round: &Round) -> Fact {
    Fact::StepEnded {
        step: round.step,
        duration_ms: cx.now.saturating_sub(round.step_started_at),
        shift: shift(state, AgentState::Working, Breakpoint::PostTool),
    }
}

/// When a round must be looked at again.
pub(in crate::machine) fn deadline(
    state: &State,
    cx: &Cx<'_>,
    round: &Round,
    stop: Option<Millis>,
) -> Option<Millis> {
    let of_call = |call: &OpenCall| match (call.running(), stop) {
        (true, Some(since)) => {
            Some((since + STOP_GRACE).min(timeout(state, cx, call).unwrap_or(Millis::MAX)))
        }
        (true, None) => timeout(state, cx, call),
        (false, _) if call.undecided() => call.call.approval.as_ref().and_then(|a| a.expires_at),
        (false, _) => None,
    };
    round.calls.iter().filter_map(of_call).min()
}

/// Whose say on a call is to be asked for now.
pub(in crate::machine) fn asks(cx: &Cx<'_>, open: &OpenCall) -> Option<Asks> {
    if open.ended() || open.running() {
        return None;
    }
    match gate(cx, open) {
        Gate::Says(asks) => Some(asks),
        Gate::End(_) | Gate::Ask(_) | Gate::Undecided | Gate::Open => None,
    }
}
