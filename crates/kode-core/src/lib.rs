//! The heart of kode: an agent is a fold over its journal.
//!
//! This crate holds the vocabulary (`id`, `message`, `call`, `event`, `fact`, `template`), the pure
//! [`machine`] that turns inputs into facts and facts into state, the ports around it (`store`, `model`,
//! `tool`, `sandbox`, `hook`, `clock`), and the thin asynchronous shell that drives it (`driver`, `live`,
//! `hub`, `agent`, `runtime`).
//!
//! What never belongs here: HTTP, processes, files, or any concrete backend; and nothing below `driver`
//! names an async runtime.

pub mod agent;
pub mod call;
pub mod clock;
mod driver;
pub mod event;
pub mod fact;
pub mod hook;
pub mod hub;
pub mod id;
mod live;
pub mod machine;
pub mod message;
pub mod model;
mod opening;
pub mod pages;
pub mod registry;
pub mod runtime;
pub mod sandbox;
pub mod store;
mod supervise;
pub mod system;
pub mod template;
pub mod todo;
pub mod tool;

pub use agent::{Agent, Completion, CompletionStatus, Interrupted, Outgoing, SendError, Sent};
pub use driver::Receipt;
pub use runtime::{AgentSpec, OpenError, Opened, Runtime, RuntimeBuilder};
