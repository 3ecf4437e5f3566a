//! The agent's own next move: its arms are the life of a turn.

use crate::event::{AgentState, Breakpoint, DoneReason, Problem};
use crate::fact::{Fact, SendMode, Stop};
use crate::id::Millis;
use crate::model::{ErrorClass, Finish};

use super::phase::{after, compact, model, remind, round, shift};
use super::{Cx, Phase, State, Turn};

impl State {
    /// The next fact that follows from the state and the time; none at rest, and none while something
    /// outside must come first.
    #[must_use]
    pub fn advance(&self, cx: &Cx<'_>) -> Option<Fact> {
        if let Some(ended) = self.advance_jobs(cx) {
            return Some(ended);
        }
        let Some(turn) = &self.turn else { return self.begin_turn() };
        if let Some(stop) = out_of_time(cx, turn) {
            return Some(stop);
        }
        match &turn.phase {
            Phase::BeforeModel => self.before_model(cx, turn),
            Phase::Model(call) if call.epoch < self.epoch => {
                Some(Fact::ModelLost { step: call.step, attempt: call.attempt })
            }
            Phase::Model(call) => turn.stop.as_ref().map(|_| Fact::ModelStopped {
                step: call.step,
                attempt: call.attempt,
                content: call.partial.content(),
                ends: call.partial.end().into_iter().collect(),
            }),
            Phase::Backoff { call, until } => match &turn.stop {
                Some((stop, _)) => self.stopped(turn, stop),
                None => (*until <= cx.now).then(|| model::started(self, Some(call))),
            },
            Phase::Overflowed(_) => match &turn.stop {
                Some((stop, _)) => self.stopped(turn, stop),
                None => Some(compact::forced(self, cx).unwrap_or_else(|| self.too_long(turn))),
            },
            Phase::Compacting(compaction) => match &turn.stop {
                Some((stop, _)) => self.stopped(turn, stop),
                None => compact::advance(self, cx, compaction),
            },
            Phase::Failed(failure) => Some(self.end_turn(
                turn,
                DoneReason::Failed,
                Some(Problem { code: failure.code.clone(), message: failure.message.clone() }),
            )),
            Phase::Tools(open) => round::advance(self, cx, open),
            Phase::Answered { step_started_at, .. } => Some(Fact::StepEnded {
                step: self.steps,
                duration_ms: cx.now.saturating_sub(*step_started_at),
                shift: None,
            }),
            Phase::Closing(Finish::Stop | Finish::ToolCalls) => {
                Some(self.end_turn(turn, DoneReason::Completed, None))
            }
            Phase::Closing(Finish::Length) => {
                let max = cx.template.limits.max_tokens;
                let problem = limit("max_tokens", format!("the answer was cut at the limit of {max} tokens"));
                Some(self.end_turn(turn, DoneReason::Limit, Some(problem)))
            }
        }
    }

    /// When the agent must be looked at again although nothing came in.
    #[must_use]
    pub fn deadline(&self, cx: &Cx<'_>) -> Option<Millis> {
        let turn = self.turn.as_ref().and_then(|turn| self.turn_deadline(cx, turn));
        [turn, self.jobs_deadline()].into_iter().flatten().min()
    }

    fn turn_deadline(&self, cx: &Cx<'_>, turn: &Turn) -> Option<Millis> {
        let own = match &turn.phase {
            Phase::Backoff { until, .. } => Some(*until),
            Phase::Compacting(compaction) => compact::deadline(compaction),
            Phase::Tools(open) => round::deadline(self, cx, open, turn.stop.as_ref().map(|(_, at)| *at)),
            Phase::BeforeModel
            | Phase::Model(_)
            | Phase::Overflowed(_)
            | Phase::Failed(_)
            | Phase::Answered { .. }
            | Phase::Closing(_) => None,
        };
        [own, time_limit(cx, turn)].into_iter().flatten().min()
    }

    /// Takes all queued messages together.
    fn begin_turn(&self) -> Option<Fact> {
        self.template.as_ref()?;
        let messages: Vec<_> = self.queue.iter().map(|m| m.id.clone()).collect();
        (!messages.is_empty()).then(|| Fact::TurnStarted {
            turn: self.turns + 1,
            messages,
            shift: crate::fact::Shift { from: self.stage, to: (AgentState::Working, Breakpoint::PreModel) },
        })
    }

    fn before_model(&self, cx: &Cx<'_>, turn: &Turn) -> Option<Fact> {
        if let Some((stop, _)) = &turn.stop {
            return self.stopped(turn, stop);
        }
        let max = cx.template.limits.max_steps;
        if turn.steps >= max {
            let problem = limit("max_steps", format!("the turn reached its limit of {max} steps"));
            return Some(self.end_turn(turn, DoneReason::Limit, Some(problem)));
        }
        let steering: Vec<_> =
            self.queue.iter().filter(|m| m.mode == SendMode::Steer).map(|m| m.id.clone()).collect();
        if !steering.is_empty() {
            return Some(Fact::Steered { messages: steering });
        }
        let first = compact::due(self, cx).or_else(|| remind::due(self, cx, turn));
        let next = || model::awaited_hooks(self, cx).is_none().then(|| model::started(self, None));
        first.or_else(next)
    }

    /// The end of a turn that is being stopped; none while the jobs that are stopped with it are there.
    fn stopped(&self, turn: &Turn, stop: &Stop) -> Option<Fact> {
        (!self.waits_for_jobs(stop)).then(|| match stop {
            Stop::Interrupt { .. } => self.end_turn(turn, DoneReason::Interrupted, None),
            Stop::Limit { problem } => self.end_turn(turn, DoneReason::Limit, Some(problem.clone())),
        })
    }

    /// The template may have changed since the compaction was decided on.
    fn too_long(&self, turn: &Turn) -> Fact {
        let message = "the history is too long for the model, and nothing of it can be left out".into();
        let problem = Problem { code: ErrorClass::ContextOverflow.code().into(), message };
        self.end_turn(turn, DoneReason::Failed, Some(problem))
    }

    fn end_turn(&self, turn: &Turn, reason: DoneReason, error: Option<Problem>) -> Fact {
        let rests = self.queue.is_empty();
        Fact::TurnEnded {
            step: self.steps,
            messages: turn.messages.clone(),
            reason,
            error,
            shift: if rests { shift(self, AgentState::Ready, Breakpoint::Ready) } else { None },
        }
    }
}

fn limit(code: &str, message: String) -> Problem {
    Problem { code: code.into(), message }
}

/// When the turn's time is over; never while only approvals are waited for.
fn time_limit(cx: &Cx<'_>, turn: &Turn) -> Option<Millis> {
    let running = turn.stop.is_none() && turn.paused_since.is_none();
    running.then(|| after(turn.started_at + turn.idle_ms, cx.template.limits.turn_secs))
}

fn out_of_time(cx: &Cx<'_>, turn: &Turn) -> Option<Fact> {
    let over = time_limit(cx, turn).is_some_and(|at| at <= cx.now);
    let secs = cx.template.limits.turn_secs;
    over.then(|| Fact::StopRequested {
        stop: Stop::Limit { problem: limit("turn_secs", format!("the turn reached its limit of {secs} s")) },
    })
}
