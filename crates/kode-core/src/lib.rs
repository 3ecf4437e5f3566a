//! The heart of kode: an agent is a fold over its journal.
//!
//! This crate holds the vocabulary (`id`, `message`, `call`, `event`, `fact`, `template`), the pure
//! [`machine`] that turns inputs into facts and facts into state, the ports around it (`store`, `model`,
//! `tool`, `sandbox`, `hook`, `clock`), and the thin asynchronous shell that drives it (`driver`, `live`,
//! `hub`, `agent`, `runtime`).
//!
//! What never belongs here: HTTP, processes, files, or any concrete backend; and nothing below `driver`
//! names an async runtime.

pub mod call;
pub mod clock;
pub mod event;
pub mod fact;
pub mod hook;
pub mod id;
pub mod machine;
pub mod message;
pub mod model;
pub mod sandbox;
pub mod store;
pub mod template;
pub mod todo;
pub mod tool;
