//! What a refusal of the pool, an agent or the store is to the outside: one place, exhaustive.
//!
//! Texts of the store and the sandbox are passed on only where they hold nothing of the host.

use kode_core::id::TemplateId;
use kode_core::lineage::NotForkable;
use kode_core::machine::Rejected;
use kode_core::sandbox::FileError;
use kode_core::store::StoreError;
use kode_core::tool::TodoRefused;
use kode_pool::PoolError;

use crate::error::ApiError;

/// Seconds after which a full pool may have a place.
const PLACE_SECS: u32 = 1;
/// Seconds after which an agent may have worked off some of what waits for it.
const QUEUE_SECS: u32 = 5;
/// Seconds after which a store may be back.
const STORE_SECS: u32 = 5;

impl From<PoolError> for ApiError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::NotFound(id) => Self::no_agent(id),
            PoolError::OtherTemplate(_) => Self::conflict("agent_exists", error.to_string()),
            PoolError::UnknownTemplate(template) => unknown_template(&template),
            PoolError::MissingTool { .. } => Self::unprocessable("missing_tool", error.to_string()),
            PoolError::NoTemplate => Self::unprocessable("unknown_template", error.to_string()),
            PoolError::Full { .. } => Self::unavailable("pool_full", error.to_string(), PLACE_SECS),
            PoolError::Draining => Self::unavailable("draining", error.to_string(), STORE_SECS),
            PoolError::NotForkable(NotForkable::UnknownSnapshot(_)) => {
                Self::unprocessable("unknown_snapshot", error.to_string())
            }
            PoolError::NotForkable(_) => Self::unprocessable("invalid_fork_point", error.to_string()),
            PoolError::Exists(_) => Self::conflict("agent_exists", error.to_string()),
            PoolError::FilesInTheWay(_) => Self::conflict("workspace_exists", error.to_string()),
            PoolError::NoName(_) => Self::unprocessable("agent_id_needed", error.to_string()),
            PoolError::NoForkFiles => Self::unprocessable("workspace_unsupported", error.to_string()),
            PoolError::Sandbox(FileError::TooLarge { size, limit, .. }) => Self::unprocessable(
                "workspace_too_large",
                format!("the files of the work directory have {size} bytes; a fork copies at most {limit}"),
            ),
            PoolError::Sandbox(error) => no_work_directory(&error),
            PoolError::Store(error) => error.into(),
            PoolError::Rejected(rejected) => rejected.into(),
            PoolError::Gone => Self::unavailable("not_ready", error.to_string(), PLACE_SECS),
            PoolError::Panicked => Self::internal("internal", error.to_string()),
        }
    }
}

/// What a sandbox says of a directory names places of the host: it is for the log.
fn no_work_directory(error: &FileError) -> ApiError {
    tracing::error!(%error, "a work directory cannot be had");
    let message = "the agent's work directory cannot be had; the server's log says why";
    ApiError::internal("sandbox_unavailable", message)
}

/// The answer for a template that is not registered.
pub(crate) fn unknown_template(template: &TemplateId) -> ApiError {
    ApiError::unprocessable(
        "unknown_template",
        format!("templateId: there is no template {template}; GET /api/templates names those there are"),
    )
}

impl From<Rejected> for ApiError {
    fn from(rejected: Rejected) -> Self {
        let why = rejected.to_string();
        match rejected {
            Rejected::NoAgent => Self::not_found("agent_not_found", why),
            Rejected::Exists(_) => Self::conflict("agent_exists", why),
            Rejected::QueueFull => Self::too_many("queue_full", why, QUEUE_SECS),
            Rejected::HasHistory => Self::conflict("agent_has_history", why),
            Rejected::BadHistory(_) | Rejected::BadLabel(_) => Self::unprocessable("invalid_request", why),
            Rejected::SnapshotExists(_) => Self::conflict("snapshot_exists", why),
            Rejected::TooManySnapshots(_) => Self::conflict("too_many_snapshots", why),
            Rejected::Busy => Self::conflict("agent_busy", why),
            Rejected::KeyReused => Self::unprocessable("idempotency_key_reused", why),
            Rejected::EmptyMessage | Rejected::NotText => Self::unprocessable("invalid_request", why),
            Rejected::NoApproval(_) => Self::not_found("approval_not_found", why),
            Rejected::Decided(_) => Self::conflict("approval_decided", why),
            Rejected::Todos(TodoRefused::Invalid(_)) => Self::unprocessable("invalid_request", why),
            Rejected::Todos(TodoRefused::VersionConflict { .. }) => Self::conflict("version_conflict", why),
            Rejected::Todos(TodoRefused::Unavailable(_)) => {
                Self::unavailable("store_unavailable", "the todo list could not be saved", STORE_SECS)
            }
            // The handle answers these itself; a host's own input would end here.
            Rejected::Duplicate { .. }
            | Rejected::Idle
            | Rejected::NotUnsettled(_)
            | Rejected::TooManyJobs(_)
            | Rejected::JobExists(_)
            | Rejected::NoJob(_)
            | Rejected::Stale => Self::conflict("conflict", why),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let unavailable = |why| Self::unavailable("store_unavailable", why, STORE_SECS);
        match error {
            StoreError::Full(_) => unavailable(
                "the store's disk is full; nothing new can be accepted until there is space, deleting agents works",
            ),
            StoreError::Unavailable(_) => {
                unavailable("the store cannot be reached; whether the request took effect is not known")
            }
            // The same answer as for one that was put away meanwhile: who asks again finds where it is now.
            StoreError::Held { .. } | StoreError::Conflict { .. } | StoreError::Fenced { .. } => {
                Self::unavailable("not_ready", "another server has the agent; try again", PLACE_SECS)
            }
            StoreError::Damaged(_) => Self::internal("journal_damaged", error.to_string()),
            StoreError::Incompatible(why) => Self::internal("journal_incompatible", why),
        }
    }
}
