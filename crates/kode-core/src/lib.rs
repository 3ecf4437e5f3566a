//! The heart of kode: an agent as a fold over its journal, and the ports around it.
//!
#![doc = include_str!("../README.md")]

pub mod agent;
pub mod call;
pub mod clock;
mod desk;
mod driver;
pub mod elide;
pub mod event;
pub mod fact;
mod follow;
mod ground;
pub mod hook;
mod host;
pub mod hub;
pub mod id;
pub mod lineage;
mod live;
pub mod machine;
pub mod message;
pub mod model;
mod opening;
pub mod pages;
pub mod policy;
pub mod price;
pub mod registry;
pub mod runtime;
pub mod sandbox;
pub mod secrets;
pub mod store;
mod supervise;
pub mod system;
mod tagged;
pub mod template;
pub mod todo;
pub mod tool;
pub mod trace;
mod upkeep;

pub use agent::{Agent, Completion, CompletionStatus, Interrupted, Outgoing, SendError, Sent};
pub use driver::Receipt;
pub use runtime::{
    AgentSpec, ForkError, ForkSpec, ForkWorkspace, Forked, OpenError, Opened, RecordError, ResumeOptions,
    Runtime, RuntimeBuilder,
};
