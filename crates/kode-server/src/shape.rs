//! The shapes of answers, as `docs/api.md` has them. Made from snapshots; nothing here decides.

mod approvals;
mod spending;

use std::sync::Arc;

use kode_core::call::Call;
use kode_core::event::{AgentState, Bookmark, Breakpoint};
use kode_core::id::{AgentId, Cursor, MessageId, Millis, Seq, SnapshotId, TemplateId};
use kode_core::lineage::{self, Ancestor, Files};
use kode_core::machine::{State, View};
use kode_core::message::{Message, Usage};
use kode_core::sandbox::{Copied, SandboxReport};
use kode_core::store::StoreError;
use kode_core::todo::Todo;
use kode_pool::{AgentInfo, PoolStats};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

pub(crate) use self::approvals::{Approval, Approvals, input_hash};
pub(crate) use self::spending::{DaySpent, KeySpent, Spending};
use crate::app::App;
use crate::auth::Reach;
use crate::error::ApiError;
use crate::shown::Shown;

/// The status of one agent.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    agent_id: AgentId,
    state: AgentState,
    breakpoint: Breakpoint,
    step_count: u32,
    last_sfp_index: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_bookmark: Option<Bookmark>,
    cursor: Cursor,
    template_id: Option<TemplateId>,
    model: String,
    pending_approvals: Vec<Call>,
    queued: usize,
    usage: Usage,
    /// What `costMicros` of the usage is in, where prices are configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<String>,
    sandbox: Enforced,
}

impl Status {
    /// Of an agent, or of one that does not exist: it looks like a fresh one.
    pub(crate) fn of(app: &App, id: &AgentId, view: Option<&View>) -> Self {
        let fresh = View::of(&State::default());
        let seen = view.unwrap_or(&fresh);
        let runtime = app.pool.runtime();
        let template_id = seen.template.clone().or_else(|| runtime.default_template().cloned());
        let kit = template_id.as_ref().and_then(|id| runtime.registry().kit(id));
        let model = kit.and_then(|kit| kit.template.model.clone());
        Self {
            agent_id: id.clone(),
            state: seen.state,
            breakpoint: seen.breakpoint,
            step_count: seen.steps,
            last_sfp_index: seen.last_safe_point,
            last_bookmark: view.map(|view| Bookmark { seq: view.seq, timestamp: view.updated_at }),
            cursor: seen.cursor,
            model: model.unwrap_or_else(|| runtime.default_model().to_owned()),
            pending_approvals: seen.approvals.iter().map(|open| open.call.clone()).collect(),
            queued: seen.queued,
            usage: seen.usage,
            currency: runtime.prices().currency().map(str::to_owned),
            sandbox: sandbox(app, id, template_id.as_ref()),
            template_id,
        }
    }
}

/// What a status says of a sandbox. Its layers and probes are for the host's operator, not for a tenant.
#[derive(Serialize, JsonSchema)]
struct Enforced {
    level: String,
    gaps: Vec<String>,
}

/// What is enforced around the agent; for one that is not in memory, what was around the last agent of its
/// template. Nothing is opened to find out.
fn sandbox(app: &App, id: &AgentId, template: Option<&TemplateId>) -> Enforced {
    let live = app.pool.resident(id).map(|agent| agent.sandbox().clone());
    let known = live.or_else(|| app.pool.sandbox(template?));
    known.map_or_else(unknown, |report| {
        let SandboxReport { level, gaps, .. } = &*report;
        Enforced { level: level.clone(), gaps: gaps.clone() }
    })
}

fn unknown() -> Enforced {
    let gaps = vec!["no agent of this template was taken up since the server started".into()];
    Enforced { level: "unknown".into(), gaps }
}

/// One agent of a list, or the whole answer for one.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Info {
    agent_id: AgentId,
    template_id: Option<TemplateId>,
    state: Option<AgentState>,
    created_at: Option<Millis>,
    updated_at: Option<Millis>,
    message_count: Option<usize>,
    /// Rounds of model and tools that it has begun: told in lists that were asked for usage.
    #[serde(skip_serializing_if = "Option::is_none")]
    step_count: Option<u32>,
    /// What all model calls cost: likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    resident: bool,
    /// Where it was forked from.
    #[serde(skip_serializing_if = "Option::is_none")]
    forked_from: Option<Ancestor>,
    /// All agents that it goes back to, oldest first: told of one agent, left out in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    lineage: Option<Vec<Ancestor>>,
    /// Whose work directory it works in, where that is not its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace_of: Option<AgentId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Map<String, Value>>,
    /// Why the agent cannot be read, where it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
}

/// What hides an agent's state.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Unreadable")]
pub(crate) struct Problem {
    code: &'static str,
    message: String,
}

impl Info {
    /// For one with this reach: of other agents it names only those.
    pub(crate) fn of(info: AgentInfo, to: &Reach) -> Self {
        match info.view {
            Ok(view) => Self::seen(info.id, info.resident, &view, to),
            Err(error) => Self::hidden(info.id, info.resident, error),
        }
    }

    pub(crate) fn seen(agent_id: AgentId, resident: bool, view: &View, to: &Reach) -> Self {
        Self {
            agent_id,
            template_id: view.template.clone(),
            state: Some(view.state),
            created_at: Some(view.created_at),
            updated_at: Some(view.updated_at),
            message_count: Some(view.transcript.len()),
            step_count: None,
            usage: None,
            resident,
            forked_from: view.lineage.last().filter(|from| to.reaches(&from.agent_id)).cloned(),
            lineage: None,
            workspace_of: shared_with(&view.files).filter(|owner| to.reaches(owner)),
            metadata: Some(view.metadata.clone()).filter(|data| !data.is_empty()),
            problem: None,
        }
    }

    /// The same with the whole lineage, as far as it is reached.
    pub(crate) fn with_lineage(self, view: &View, to: &Reach) -> Self {
        let reached = view.lineage.iter().filter(|from| to.reaches(&from.agent_id));
        let lineage: Vec<Ancestor> = reached.cloned().collect();
        Self { lineage: Some(lineage).filter(|lineage| !lineage.is_empty()), ..self }
    }

    /// The same with what it has spent.
    pub(crate) fn with_usage(self, view: &View) -> Self {
        Self { step_count: Some(view.steps), usage: Some(view.usage), ..self }
    }

    fn hidden(agent_id: AgentId, resident: bool, error: StoreError) -> Self {
        let ApiError { code, message, .. } = error.into();
        Self {
            agent_id,
            template_id: None,
            state: None,
            created_at: None,
            updated_at: None,
            message_count: None,
            step_count: None,
            usage: None,
            resident,
            forked_from: None,
            lineage: None,
            workspace_of: None,
            metadata: None,
            problem: Some(Problem { code, message }),
        }
    }
}

fn shared_with(files: &Files) -> Option<AgentId> {
    match files {
        Files::Own | Files::Copied { .. } => None,
        Files::Shared { owner } => Some(owner.clone()),
    }
}

/// The forks among some agents.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Forks {
    pub(crate) forks: Vec<Info>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<AgentId>,
}

/// That a fork is there.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Forked {
    pub(crate) agent_id: AgentId,
    pub(crate) forked_from: Ancestor,
    /// What was copied of the files, as they are now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) copied: Option<Copied>,
}

/// A named place of a journal.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Snapshot {
    snapshot_id: SnapshotId,
    seq: Seq,
    created_at: Millis,
}

impl From<lineage::Snapshot> for Snapshot {
    fn from(named: lineage::Snapshot) -> Self {
        Self { snapshot_id: named.id, seq: named.seq, created_at: named.created_at }
    }
}

/// All of them.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Snapshots {
    pub(crate) snapshots: Vec<Snapshot>,
}

/// Some agents.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Agents {
    pub(crate) agents: Vec<Info>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<AgentId>,
}

/// Some sessions of a user.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Sessions {
    pub(crate) sessions: Vec<Session>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

/// One session of a user.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Session {
    pub(crate) session_id: String,
    #[serde(flatten)]
    pub(crate) agent: Info,
}

/// That an agent is there.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Created {
    pub(crate) agent_id: AgentId,
    pub(crate) created: bool,
}

/// That a message is in the journal.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Queued {
    pub(crate) status: &'static str,
    pub(crate) agent_id: AgentId,
    pub(crate) message_id: MessageId,
    pub(crate) cursor: Cursor,
}

/// The same as the chat routes say it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChatQueued {
    pub(crate) success: bool,
    pub(crate) agent_id: AgentId,
    pub(crate) message: &'static str,
    pub(crate) message_id: MessageId,
    pub(crate) cursor: Cursor,
}

/// The status as the chat routes say it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChatStatus {
    pub(crate) agent_id: AgentId,
    pub(crate) status: Status,
    pub(crate) todos: Vec<Todo>,
}

/// Some of the history.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Messages {
    pub(crate) messages: Vec<Arc<Message>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<MessageId>,
}

/// Some of the events.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Events {
    #[schemars(with = "Vec<kode_core::event::Envelope>")]
    pub(crate) events: Vec<Shown>,
    pub(crate) next: Cursor,
    pub(crate) end: bool,
}

/// A template, without its prompt: that is the host's.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Template {
    pub(crate) id: TemplateId,
    pub(crate) model: String,
    pub(crate) tools: Vec<String>,
    pub(crate) expose_thinking: bool,
    pub(crate) default: bool,
}

/// All templates.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Templates {
    pub(crate) templates: Vec<Template>,
}

/// Numbers for people.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metrics {
    pub(crate) active_agents: usize,
    pub(crate) total_users: usize,
    pub(crate) runtime: RuntimeMetrics,
    pub(crate) pool: PoolMetrics,
    pub(crate) uptime_seconds: u64,
}

/// Of what all agents share.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RuntimeMetrics {
    pub(crate) store_type: &'static str,
    pub(crate) template_count: usize,
    pub(crate) tool_count: usize,
    pub(crate) model: String,
    pub(crate) demo: bool,
}

/// Of the places in memory.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PoolMetrics {
    resident: usize,
    max: usize,
    evicted: u64,
}

impl From<PoolStats> for PoolMetrics {
    fn from(stats: PoolStats) -> Self {
        Self { resident: stats.resident, max: stats.max, evicted: stats.evicted }
    }
}
