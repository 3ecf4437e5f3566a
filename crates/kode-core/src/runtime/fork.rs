//! Forks: another agent that begins with what one was at a place of its journal.
//!
//! The parent is only read, from the store, so it is never in the way: not while it works, and not of many forks at
//! once. The fork exists with one append. What must be there by then (the copy of the files) is made before under a
//! name of its own, and what a crash leaves of that is nobody's.

use futures_util::{StreamExt, stream};
use serde_json::{Map, Value};

use super::{OpenError, Runtime};
use crate::agent::Agent;
use crate::desk::Desk;
use crate::id::{AGENT_ID_MAX, AgentId, Seq, TemplateId};
use crate::lineage::{Ancestor, Files, ForkPoint, NotForkable};
use crate::machine::{Heritage, Input, Origin, State, Strategy};
use crate::opening::{claim, load_up_to};
use crate::sandbox::{Copied, FileError, ForkFiles};
use crate::store::{BLOB_MAX, BlobName, StoreError};

/// The segment of a generated name that says that it is a fork's.
const SEGMENT: &str = ":fork:";
/// Blobs that are read at once: each may have [`BLOB_MAX`] bytes.
const BLOBS_AT_ONCE: usize = 4;

/// What a fork begins with of its parent's files.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ForkWorkspace {
    /// A copy of them as they are now, which may be later than the place of the fork.
    #[default]
    Copy,
    /// None.
    Empty,
    /// The files themselves: both work in the parent's work directory from now on.
    Shared,
}

/// What a fork is to be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ForkSpec {
    /// Where to fork.
    pub at: ForkPoint,
    /// The fork's name; a generated one below the parent's ([`Runtime::name_fork`]), if absent.
    pub agent: Option<AgentId>,
    /// What it begins with of the files.
    pub workspace: ForkWorkspace,
    /// Its template; the parent's, if absent.
    pub template: Option<TemplateId>,
    /// The creator's own data; the parent's, if absent.
    pub metadata: Option<Map<String, Value>>,
}

/// A fork that was made.
#[derive(Clone)]
pub struct Forked {
    /// Its handle.
    pub agent: Agent,
    /// The agent that it was forked from, and the entry.
    pub from: Ancestor,
    /// What was copied of the files, where they were.
    pub copied: Option<Copied>,
}

/// Why an agent was not forked. Neither it nor anything else was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForkError {
    /// The place cannot be forked at.
    #[error(transparent)]
    NotForkable(#[from] NotForkable),
    /// There is an agent of that name.
    #[error("there is an agent {0} already; give the fork another name")]
    Exists(AgentId),
    /// A former agent of that name left files.
    #[error(
        "files of a former agent {0} are in the work directory of that name; give the fork another name, or share the parent's files"
    )]
    FilesInTheWay(AgentId),
    /// No name can be made of the parent's.
    #[error("no name for a fork fits behind {0}; name it yourself")]
    NoName(AgentId),
    /// The host's sandbox has work directories for single agents only.
    #[error("this sandbox neither copies nor shares files; fork with an empty work directory")]
    NoForkFiles,
    /// The parent or the fork could not be taken up.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl From<StoreError> for ForkError {
    fn from(error: StoreError) -> Self {
        Self::Open(error.into())
    }
}

/// All that is known of a fork before anything is written.
struct Plan {
    id: AgentId,
    parent: AgentId,
    at: Seq,
    /// The parent at the place.
    there: State,
    heritage: Heritage,
    template: TemplateId,
    metadata: Map<String, Value>,
}

impl Runtime {
    /// Makes another agent that begins with what `parent` was at a place of its journal: messages, call records and the
    /// todo list. What waited or was under way there stays behind, so the fork is at rest. It is durable when this
    /// returns. Not cancel safe: a dropped call may or may not have forked, and may leave a copy of the files that
    /// nobody has.
    ///
    /// # Errors
    /// [`ForkError`]; nothing was changed. Where only the fork's own work directory could not be opened, the fork
    /// exists all the same.
    pub async fn fork(&self, parent: &AgentId, spec: ForkSpec) -> Result<Forked, ForkError> {
        let workspace = spec.workspace;
        let plan = self.plan(parent, spec).await?;
        let (files, copied) = self.fork_files(&plan, workspace).await?;
        let (id, from) = (plan.id.clone(), Ancestor { agent_id: plan.parent.clone(), seq: plan.at });
        match self.beget(plan, &files).await {
            Ok(agent) => Ok(Forked { agent, from, copied }),
            Err(error) => {
                self.forget_files(&id, &files).await;
                Err(error)
            }
        }
    }

    /// A fresh name below the parent's, `PARENT:fork:SUFFIX`, so that whoever reaches the parent by a prefix reaches
    /// the fork. Where that is too long for a fork of forks, beside one of them.
    ///
    /// # Errors
    /// [`ForkError::NoName`].
    pub fn name_fork(&self, parent: &AgentId) -> Result<AgentId, ForkError> {
        let suffix = self.shared.ids.agent_suffix();
        let mut base = parent.as_str();
        while base.len() + SEGMENT.len() + suffix.len() > AGENT_ID_MAX {
            let shorter = base.rsplit_once(SEGMENT).filter(|(_, last)| !last.contains(':'));
            base = shorter.ok_or_else(|| ForkError::NoName(parent.clone()))?.0;
        }
        AgentId::new(format!("{base}{SEGMENT}{suffix}")).map_err(|_| ForkError::NoName(parent.clone()))
    }

    /// Everything that may refuse, and nothing that changes anything.
    async fn plan(&self, parent: &AgentId, spec: ForkSpec) -> Result<Plan, ForkError> {
        let (now, _) = self.load(parent).await?;
        if now.template.is_none() {
            return Err(OpenError::NotFound(parent.clone()).into());
        }
        let at = now.resolve(&spec.at)?;
        let there = if at == now.seq { now } else { self.state_at(parent, at, &now).await? };
        let heritage = there.heritage(at)?;
        let template = spec.template.or_else(|| there.template.clone()).ok_or(OpenError::NoTemplate)?;
        if self.shared.registry.kit(&template).is_none() {
            return Err(OpenError::UnknownTemplate(template).into());
        }
        let id = spec.agent.map_or_else(|| self.name_fork(parent), Ok)?;
        if self.load(&id).await?.0.template.is_some() {
            return Err(ForkError::Exists(id));
        }
        let metadata = spec.metadata.unwrap_or_else(|| there.metadata.clone());
        Ok(Plan { id, parent: parent.clone(), at, there, heritage, template, metadata })
    }

    /// What the agent was at an entry: the fold of what is at or below it.
    async fn state_at(&self, id: &AgentId, at: Seq, now: &State) -> Result<State, ForkError> {
        let there = load_up_to(&*self.shared.store, id, at).await?;
        let same = there.template.is_none() || there.created_at == now.created_at;
        // Another agent of the name, made while the journal was read.
        if same { Ok(there) } else { Err(OpenError::NotFound(id.clone()).into()) }
    }

    /// Copies or notes what the fork is to have of the files.
    async fn fork_files(
        &self,
        plan: &Plan,
        workspace: ForkWorkspace,
    ) -> Result<(Files, Option<Copied>), ForkError> {
        let owner = plan.there.files.owner(&plan.parent);
        let forks = self.shared.sandboxes.forks();
        let failed = |error: FileError| ForkError::from(OpenError::Sandbox(error));
        match workspace {
            ForkWorkspace::Empty => {
                if let Some(forks) = forks {
                    must_be_vacant(forks, &plan.id).await?;
                }
                Ok((Files::Own, None))
            }
            ForkWorkspace::Copy => {
                let forks = forks.ok_or(ForkError::NoForkFiles)?;
                must_be_vacant(forks, &plan.id).await?;
                let ticket = self.shared.ids.agent_suffix();
                let copied = forks.copy(owner, &ticket).await.map_err(failed)?;
                Ok((Files::Copied { ticket }, Some(copied)))
            }
            ForkWorkspace::Shared => {
                let forks = forks.ok_or(ForkError::NoForkFiles)?;
                forks.share(owner, &plan.id).await.map_err(failed)?;
                Ok((Files::Shared { owner: owner.clone() }, None))
            }
        }
    }

    /// Takes back what was done about the files of a fork that did not come about.
    async fn forget_files(&self, id: &AgentId, files: &Files) {
        let Some(forks) = self.shared.sandboxes.forks() else { return };
        // Whether it came about is not always known; then its files are kept.
        let Ok(there) = self.look(id).await else { return };
        if there.is_some_and(|view| view.files == *files) {
            return;
        }
        let forgotten = match files {
            Files::Own => Ok(()),
            Files::Copied { ticket } => forks.discard(ticket).await,
            Files::Shared { owner } => forks.unshare(owner, id).await,
        };
        if let Err(error) = forgotten {
            tracing::warn!(agent = %id, %error, "the files of a fork that failed were not cleared away");
        }
    }

    /// Makes the fork durable with one append, then lets it live.
    async fn beget(&self, plan: Plan, files: &Files) -> Result<Agent, ForkError> {
        let Plan { id, parent, at, there, heritage, template, metadata } = plan;
        let kit = self.kit(&template)?;
        let early = match files {
            // The copy gets the fork's name once there is a fork.
            Files::Copied { .. } => None,
            Files::Own | Files::Shared { .. } => Some(self.workspace(&id, files, &kit).await?),
        };
        let results = results(&heritage);
        let ancestors = there.ancestors();
        let files_told = files.clone();
        let origin = Origin { from: parent.clone(), at, ancestors, template, metadata, files: files_told };
        let first = vec![Input::Fork(Box::new(origin)), Input::Inherit(Box::new(heritage))];
        let cell = self.cell(&id, &State::default());
        let claimed = claim(&self.shared, &cell, &kit).await.map_err(|error| match error {
            StoreError::Conflict { expected: Seq::ZERO, .. } => ForkError::Exists(id.clone()),
            other => other.into(),
        });
        let (desk, (mut state, covered)) = claimed?;
        take_blobs(&desk, &mut state, &parent, results).await?;
        desk.begin(&mut state, Strategy::default(), first).await?;
        let state = (state, covered);
        let workspace = match early {
            Some(workspace) => Ok(workspace),
            None => self.workspace(&id, files, &kit).await,
        };
        match workspace {
            Ok(workspace) => {
                let (opening, mail, letters) = self.opening(cell, kit, workspace);
                let driver = opening.drive(desk, state);
                Ok(self.live(opening, driver, mail, letters))
            }
            Err(error) => {
                desk.cell.feed.detach();
                desk.shared.store.release(desk.lease, true).await?;
                Err(error.into())
            }
        }
    }
}

/// The names of the blobs that a history may speak of: the whole results of its calls.
fn results(heritage: &Heritage) -> Vec<BlobName> {
    heritage.calls.iter().filter_map(|call| BlobName::of_result(&call.id).ok()).collect()
}

/// Copies what of these the parent has: in place before the facts that speak of it. A name needs an entry to have
/// blobs, so it is opened first; until it is forked it is no agent.
async fn take_blobs(
    desk: &Desk,
    state: &mut State,
    parent: &AgentId,
    names: Vec<BlobName>,
) -> Result<(), StoreError> {
    let store = &desk.shared.store;
    let read = |name: BlobName| async move {
        let found = store.read_blob(parent, &name, 0, BLOB_MAX).await?;
        Ok::<_, StoreError>(found.map(|part| (name, part.bytes)))
    };
    let mut found = stream::iter(names).map(read).buffered(BLOBS_AT_ONCE);
    while let Some(blob) = found.next().await {
        let Some((name, bytes)) = blob? else { continue };
        if state.seq == Seq::ZERO {
            desk.begin(state, Strategy::default(), Vec::new()).await?;
        }
        store.put_blob(&desk.lease, &name, &bytes).await?;
    }
    Ok(())
}

async fn must_be_vacant(forks: &dyn ForkFiles, id: &AgentId) -> Result<(), ForkError> {
    match forks.is_vacant(id).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(ForkError::FilesInTheWay(id.clone())),
        Err(error) => Err(OpenError::Sandbox(error).into()),
    }
}
