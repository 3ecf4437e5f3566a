//! Why the pool refused. One flat list, so that a host maps each case to its own answer.

use kode_core::id::{AgentId, TemplateId};
use kode_core::lineage::NotForkable;
use kode_core::machine::Rejected;
use kode_core::sandbox::FileError;
use kode_core::store::StoreError;
use kode_core::{ForkError, OpenError, SendError};

/// Why the pool refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// There is no such agent.
    #[error("there is no agent {0}")]
    NotFound(AgentId),
    /// The agent exists, with another template than the one asked for.
    #[error("the agent exists with the template {0}; ask for that one or for none")]
    OtherTemplate(TemplateId),
    /// The template is not registered. The agent, if it exists, is as it was.
    #[error("the template {0} is not registered")]
    UnknownTemplate(TemplateId),
    /// An open call needs a tool that the template does not have. The agent is as it was.
    #[error("the agent has an open call of the tool {tool}, which its template {template} does not have")]
    MissingTool {
        /// Which tool.
        tool: String,
        /// The template in force.
        template: TemplateId,
    },
    /// No template was named, and the runtime has no default.
    #[error("no template was named for the new agent, and there is no default")]
    NoTemplate,
    /// Every place is taken by an agent at work. Try again when one has come to rest.
    #[error("all {max} agents in memory are at work; try again later")]
    Full {
        /// How many agents there may be.
        max: usize,
    },
    /// The agent cannot be forked at that place.
    #[error(transparent)]
    NotForkable(NotForkable),
    /// A fork was to have the name of an agent that there is.
    #[error("there is an agent {0} already; give the fork another name")]
    Exists(AgentId),
    /// A fork was to have the name of a former agent whose files are still there.
    #[error(
        "files of a former agent {0} are in the work directory of that name; give the fork another name, or share the parent's files"
    )]
    FilesInTheWay(AgentId),
    /// No name for a fork can be made of the parent's.
    #[error("no name for a fork fits behind {0}; name it yourself")]
    NoName(AgentId),
    /// The host's sandbox neither copies nor shares files.
    #[error("this sandbox neither copies nor shares files; fork with an empty work directory")]
    NoForkFiles,
    /// The pool shuts down. Another process, or this one after its restart, goes on.
    #[error("the server is shutting down; try again later")]
    Draining,
    /// The work directory could not be had or removed.
    #[error("the work directory: {0}")]
    Sandbox(FileError),
    /// The store refused.
    #[error(transparent)]
    Store(StoreError),
    /// The agent refused; nothing changed.
    #[error(transparent)]
    Rejected(Rejected),
    /// The agent was put away twice while it was being asked. Try again.
    #[error("the agent was put away meanwhile; try again")]
    Gone,
    /// A callback or port of the host panicked while the agent was taken up.
    #[error("the agent could not be taken up: something failed inside the server")]
    Panicked,
}

impl From<StoreError> for PoolError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<OpenError> for PoolError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::NotFound(id) => Self::NotFound(id),
            OpenError::UnknownTemplate(template) => Self::UnknownTemplate(template),
            OpenError::MissingTool { agent: _, tool, template } => Self::MissingTool { tool, template },
            OpenError::NoTemplate => Self::NoTemplate,
            OpenError::Sandbox(error) => Self::Sandbox(error),
            OpenError::Store(error) => Self::Store(error),
        }
    }
}

impl From<ForkError> for PoolError {
    fn from(error: ForkError) -> Self {
        match error {
            ForkError::NotForkable(why) => Self::NotForkable(why),
            ForkError::Exists(id) => Self::Exists(id),
            ForkError::FilesInTheWay(id) => Self::FilesInTheWay(id),
            ForkError::NoName(id) => Self::NoName(id),
            ForkError::NoForkFiles => Self::NoForkFiles,
            ForkError::Open(error) => error.into(),
        }
    }
}

impl From<SendError> for PoolError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Rejected(rejected) => Self::Rejected(rejected),
            SendError::Store(error) => Self::Store(error),
            SendError::Gone => Self::Gone,
        }
    }
}
