//! Workspaces in memory for many agents, with copies and shares as forks want them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use kode_core::id::AgentId;
use kode_core::sandbox::{Copied, FileError, ForkFiles, SandboxFactory, Workspace};
use kode_core::template::SandboxSpec;

use super::{MemoryWorkspace, held};
use crate::processes::ScriptedProcesses;

/// Workspaces in memory, one for each agent; an agent that is opened again finds its files.
#[derive(Debug, Default)]
pub struct MemorySandbox {
    workspaces: Mutex<BTreeMap<AgentId, Arc<MemoryWorkspace>>>,
    /// Copies that no agent has, by their tickets.
    copies: Mutex<BTreeMap<String, Arc<MemoryWorkspace>>>,
    /// Who works in whose workspace: owner and user.
    shares: Mutex<BTreeSet<(AgentId, AgentId)>>,
    processes: Option<ScriptedProcesses>,
}

impl MemorySandbox {
    /// One without agents.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with processes in each workspace, which have their runs and records in common.
    #[must_use]
    pub fn running(self, processes: ScriptedProcesses) -> Self {
        Self { processes: Some(processes), ..self }
    }

    /// The agent's files, made empty where it has none.
    pub fn workspace(&self, agent: &AgentId) -> Arc<MemoryWorkspace> {
        self.workspaces().entry(agent.clone()).or_insert_with(|| Arc::new(self.empty())).clone()
    }

    fn empty(&self) -> MemoryWorkspace {
        let processes = self.processes.as_ref().map(ScriptedProcesses::of_another);
        MemoryWorkspace { processes, ..MemoryWorkspace::new() }
    }

    /// The tickets of the copies that no agent has.
    pub fn copies(&self) -> Vec<String> {
        held(&self.copies).keys().cloned().collect()
    }

    /// Puts an agent's files back under their ticket, as a crash leaves them that comes before they have a name.
    pub fn unsettle(&self, agent: &AgentId, ticket: &str) {
        if let Some(files) = self.workspaces().remove(agent) {
            held(&self.copies).insert(ticket.to_owned(), files);
        }
    }

    fn workspaces(&self) -> MutexGuard<'_, BTreeMap<AgentId, Arc<MemoryWorkspace>>> {
        held(&self.workspaces)
    }
}

#[async_trait]
impl SandboxFactory for MemorySandbox {
    async fn open(&self, agent: &AgentId, _spec: &SandboxSpec) -> Result<Arc<dyn Workspace>, FileError> {
        Ok(self.workspace(agent))
    }

    async fn remove(&self, agent: &AgentId) -> Result<(), FileError> {
        if !held(&self.shares).iter().any(|(owner, _)| owner == agent) {
            self.workspaces().remove(agent);
        }
        Ok(())
    }

    fn forks(&self) -> Option<&dyn ForkFiles> {
        Some(self)
    }
}

#[async_trait]
impl ForkFiles for MemorySandbox {
    async fn is_vacant(&self, agent: &AgentId) -> Result<bool, FileError> {
        Ok(self.workspaces().get(agent).is_none_or(|there| there.state().files.is_empty()))
    }

    async fn copy(&self, from: &AgentId, ticket: &str) -> Result<Copied, FileError> {
        let files = self.workspace(from).state().files.clone();
        let bytes = files.values().map(|file| file.content.len() as u64).sum();
        let copied = Copied { files: files.len() as u64, bytes, skipped: 0 };
        let copy = self.empty();
        copy.state().files = files;
        held(&self.copies).insert(ticket.to_owned(), Arc::new(copy));
        Ok(copied)
    }

    async fn settle(&self, ticket: &str, to: &AgentId) -> Result<(), FileError> {
        if let Some(copy) = held(&self.copies).remove(ticket) {
            self.workspaces().insert(to.clone(), copy);
        }
        Ok(())
    }

    async fn discard(&self, ticket: &str) -> Result<(), FileError> {
        held(&self.copies).remove(ticket);
        Ok(())
    }

    async fn share(&self, owner: &AgentId, user: &AgentId) -> Result<(), FileError> {
        held(&self.shares).insert((owner.clone(), user.clone()));
        Ok(())
    }

    async fn unshare(&self, owner: &AgentId, user: &AgentId) -> Result<(), FileError> {
        held(&self.shares).remove(&(owner.clone(), user.clone()));
        Ok(())
    }
}
