//! Background jobs: processes that a call started and that outlive it. What is known of one, what it may become, and
//! when it is over.
//!
//! A job belongs to the writer under which it was started. Asked to be gone, it ends once its processes are, within
//! bounds: so an interrupt's `done` comes when nothing runs any more.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::call::PREVIEW_CHARS;
use crate::fact::{Entry, Fact, JobEnd, JobEnded, JobStarted, JobStopRequested, JobTold, Stop};
use crate::id::{CallId, Epoch, JobId, Millis};
use crate::sandbox::ProcessEnd;

use super::accept::Accepted;
use super::phase::STOP_GRACE;
use super::{Cx, Effect, EffectKey, Rejected, State};

/// Jobs that one agent may have at once.
const OPEN_MAX: usize = 8;
/// Jobs that are over and of which it is remembered how they ended.
const ENDED_MAX: usize = 16;

/// A background job, running or over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its name.
    pub id: JobId,
    /// The call that started it.
    pub call: CallId,
    /// The tool of that call.
    pub tool: String,
    /// What the shell was given; of one that is over, the beginning of it.
    pub line: String,
    /// Seconds that it may take.
    pub timeout_secs: u64,
    /// When it was started.
    pub started_at: Millis,
    /// The writer under which it was started.
    pub epoch: Epoch,
    /// Who wants it to be gone, and since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<(String, Millis)>,
    /// How it ended, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<(JobEnd, Millis)>,
}

impl Job {
    /// Whether it is not over.
    #[must_use]
    pub fn open(&self) -> bool {
        self.end.is_none()
    }

    fn ended(&self, end: JobEnd) -> Fact {
        let (job, call, tool) = (self.id.clone(), self.call.clone(), self.tool.clone());
        Fact::JobEnded(JobEnded { job, call, tool, end })
    }

    fn key(&self) -> EffectKey {
        EffectKey::Job { job: self.id.clone() }
    }
}

impl State {
    /// The jobs that are not over.
    pub fn open_jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.iter().filter(|job| job.open())
    }

    /// A job of this writer's that is not over.
    fn live_job(&self, id: &JobId) -> Result<&Job, Rejected> {
        self.open_jobs().find(|job| &job.id == id && job.epoch == self.epoch).ok_or(Rejected::Stale)
    }

    /// Only a running call starts a job, and none once its run is being stopped: what an interrupt ends is known when
    /// it is asked for.
    pub(super) fn start_job(&self, cx: &Cx<'_>, call: CallId, line: String) -> Accepted {
        let stopping = self.turn.as_ref().is_some_and(|turn| turn.stop.is_some());
        let open = self.open_call(&call).filter(|c| c.running() && c.epoch == self.epoch && !stopping);
        let tool = open.ok_or(Rejected::Stale)?.call.name.clone();
        let job = JobId::of(&call);
        if self.jobs.iter().any(|known| known.id == job) {
            return Err(Rejected::JobExists(job));
        }
        if self.open_jobs().count() >= OPEN_MAX {
            return Err(Rejected::TooManyJobs(OPEN_MAX));
        }
        let timeout_secs = cx.template.limits.job_secs;
        Ok(vec![Fact::JobStarted(JobStarted { job, call, tool, line, timeout_secs })])
    }

    pub(super) fn kill_job(&self, id: JobId, by: String) -> Accepted {
        match self.open_jobs().find(|job| job.id == id) {
            None => Err(Rejected::NoJob(id)),
            Some(Job { stop: Some(_), .. }) => Ok(Vec::new()),
            Some(Job { stop: None, .. }) => {
                Ok(vec![Fact::JobStopRequested(JobStopRequested { job: id, by })])
            }
        }
    }

    /// Its process came to its end, also in the moment of a stop: then that is how it ended.
    pub(super) fn job_finished(&self, id: &JobId, end: ProcessEnd) -> Accepted {
        self.live_job(id).map(|job| vec![job.ended(JobEnd::Ended(end))])
    }

    pub(super) fn job_noticed(&self, id: &JobId, event_type: String, data: Value) -> Accepted {
        let job = self.live_job(id)?;
        let (job, call, tool) = (job.id.clone(), job.call.clone(), job.tool.clone());
        Ok(vec![Fact::JobTold(JobTold { job, call, tool, event_type, data })])
    }

    /// Nothing of it is left in this process. Where nobody wanted that, its writer is about to end.
    pub(super) fn job_gone(&self, id: &JobId) -> Accepted {
        let job = self.live_job(id)?;
        let end = job.stop.as_ref().map_or(JobEnd::Lost, |(by, _)| JobEnd::Killed { by: by.clone() });
        Ok(vec![job.ended(end)])
    }

    /// A stop of every job that nobody stopped yet.
    pub(super) fn stop_jobs(&self, by: &str) -> Vec<Fact> {
        let stop = |job: &Job| JobStopRequested { job: job.id.clone(), by: by.to_owned() };
        self.open_jobs()
            .filter(|job| job.stop.is_none())
            .map(|job| Fact::JobStopRequested(stop(job)))
            .collect()
    }

    /// The end of a job whose writer is gone, or that was not gone in time.
    pub(super) fn advance_jobs(&self, cx: &Cx<'_>) -> Option<Fact> {
        self.open_jobs().find_map(|job| {
            let orphaned = job.epoch < self.epoch;
            let end = match &job.stop {
                Some((by, since)) => {
                    (orphaned || cx.now >= since + STOP_GRACE).then(|| JobEnd::Killed { by: by.clone() })
                }
                None => orphaned.then_some(JobEnd::Lost),
            };
            end.map(|end| job.ended(end))
        })
    }

    /// Whether the end of a turn that is stopped for this reason waits until jobs are gone.
    pub(super) fn waits_for_jobs(&self, stop: &Stop) -> bool {
        match stop {
            Stop::Interrupt { .. } => self.open_jobs().any(|job| job.stop.is_some()),
            Stop::Limit { .. } => false,
        }
    }

    /// When a job that is to be gone must be given up.
    pub(super) fn jobs_deadline(&self) -> Option<Millis> {
        self.open_jobs().filter_map(|job| job.stop.as_ref().map(|(_, since)| since + STOP_GRACE)).min()
    }

    pub(super) fn wanted_jobs(&self) -> impl Iterator<Item = (EffectKey, Effect)> {
        let wanted = |job: &&Job| job.stop.is_none() && job.epoch == self.epoch;
        self.open_jobs()
            .filter(wanted)
            .map(|job| (job.key(), Effect::Job { line: job.line.clone(), timeout_secs: job.timeout_secs }))
    }

    /// The jobs that are to be gone: each ends with [`super::Input::EffectGone`].
    pub(super) fn stopping_jobs(&self) -> impl Iterator<Item = EffectKey> {
        self.open_jobs().filter(|job| job.stop.is_some() && job.epoch == self.epoch).map(Job::key)
    }

    /// Whether something is under way that nobody asked to stop.
    #[must_use]
    pub fn unstopped(&self) -> bool {
        self.turn.as_ref().is_some_and(|turn| turn.stop.is_none())
            || self.open_jobs().any(|job| job.stop.is_none())
    }
}

/// The folds.
impl State {
    pub(super) fn job_started(&mut self, entry: &Entry, started: &JobStarted) {
        let JobStarted { job, call, tool, line, timeout_secs } = started.clone();
        let (started_at, epoch) = (entry.at, entry.epoch);
        let (stop, end) = (None, None);
        let job = Job { id: job, call, tool, line, timeout_secs, started_at, epoch, stop, end };
        Arc::make_mut(&mut self.jobs).push(job);
    }

    pub(super) fn job_stopping(&mut self, entry: &Entry, stop: &JobStopRequested) {
        let jobs = Arc::make_mut(&mut self.jobs);
        if let Some(job) = jobs.iter_mut().find(|job| job.id == stop.job && job.open()) {
            job.stop = Some((stop.by.clone(), entry.at));
        }
    }

    /// Those that are over stand in the order of their ends. One whose call is open stays, so that the call starts no
    /// second one of its name.
    pub(super) fn job_over(&mut self, entry: &Entry, ended: &JobEnded) {
        let mut jobs = self.jobs.to_vec();
        let Some(at) = jobs.iter().position(|job| job.id == ended.job) else { return };
        let mut job = jobs.remove(at);
        job.end = Some((ended.end.clone(), entry.at));
        job.line = job.line.chars().take(PREVIEW_CHARS).collect();
        jobs.push(job);
        let old = |job: &Job| !job.open() && self.open_call(&job.call).is_none();
        let mut over = jobs.iter().filter(|job| old(job)).count().saturating_sub(ENDED_MAX);
        jobs.retain(|job| {
            let forget = over > 0 && old(job);
            over -= usize::from(forget);
            !forget
        });
        self.jobs = Arc::new(jobs);
    }
}
