//! The commands, one room each, and what several of them need.

pub(crate) mod agents;
pub(crate) mod chat;
pub(crate) mod decide;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod keys;
pub(crate) mod openapi;
pub(crate) mod replay;
pub(crate) mod serve;
pub(crate) mod store;
pub(crate) mod usage;

use kode_core::event::Channels;
use kode_core::id::AgentId;

use crate::failure::Failure;

/// An agent's id as a person gave it.
fn agent_id(text: &str) -> Result<AgentId, Failure> {
    AgentId::new(text).map_err(|why| Failure::usage(format!("{text:?} is no agent id: {why}")))
}

/// A list of channels as a person gave it.
fn check_channels(list: &str) -> Result<(), Failure> {
    list.parse::<Channels>().map(drop).map_err(|why| Failure::usage(format!("--channels: {why}")))
}

/// Runs a command that waits for others, on this thread.
fn block_on<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Failure::failed)?.block_on(command)
}
