//! Background jobs: each starts once, for a call that runs, and ends once; no writer has one of another's; the `done`
//! of an interrupt comes when those that it ended are over.

use std::collections::BTreeSet;

use kode_core::event::DoneReason;
use kode_core::fact::{Entry, Fact};
use kode_core::id::JobId;
use kode_core::machine::{Cx, State};

use super::{Checked, hold};

/// Jobs that one agent may have at once.
const MOST: usize = 8;

#[derive(Debug, Clone, Default)]
pub(super) struct Jobs {
    begun: BTreeSet<JobId>,
    open: BTreeSet<JobId>,
    stopping: BTreeSet<JobId>,
}

/// Whether the events of a fact are told of a job, which outlives its call and its turn.
pub(super) fn tells(fact: &Fact) -> bool {
    matches!(fact, Fact::JobStarted(_) | Fact::JobTold(_) | Fact::JobEnded(_))
}

impl Jobs {
    pub(super) fn entry(&mut self, entry: &Entry) -> Checked {
        match &entry.fact {
            Fact::JobStarted(started) => {
                hold!(started.job == JobId::of(&started.call), "{} is not the job of its call", started.job);
                hold!(self.begun.insert(started.job.clone()), "{} began twice", started.job);
                self.open.insert(started.job.clone());
                hold!(self.open.len() <= MOST, "{} jobs at once", self.open.len());
            }
            Fact::JobStopRequested(stop) => {
                hold!(self.open.contains(&stop.job), "{} is to be gone, and is not there", stop.job);
                hold!(self.stopping.insert(stop.job.clone()), "{} was stopped twice", stop.job);
            }
            Fact::JobTold(told) => {
                hold!(self.open.contains(&told.job), "{} is told of, and is not there", told.job);
            }
            Fact::JobEnded(ended) => {
                hold!(self.open.remove(&ended.job), "{} ended, and was not there", ended.job);
                self.stopping.remove(&ended.job);
            }
            Fact::TurnEnded { reason: DoneReason::Interrupted, .. } => {
                hold!(self.stopping.is_empty(), "an interrupt is done before {:?} are over", self.stopping);
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn state(&self, cx: &Cx<'_>, state: &State) -> Checked {
        let open: BTreeSet<_> = state.open_jobs().map(|job| job.id.clone()).collect();
        hold!(open == self.open, "jobs {open:?} are there, and {:?} were told", self.open);
        let other = state.open_jobs().find(|job| job.epoch != cx.epoch);
        hold!(other.is_none(), "a job of another writer goes on: {other:?}");
        hold!(state.jobs.len() <= state.open_jobs().count() + 64, "{} jobs are remembered", state.jobs.len());
        hold!(!state.may_sleep() || open.is_empty(), "the agent may sleep, and {open:?} run");
        Ok(())
    }
}
