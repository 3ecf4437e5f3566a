//! kode's built-in tools over the sandbox port.
//!
#![doc = include_str!("../README.md")]
//!
//! # The code
//!
//! One file for each tool; `edit` holds what the two editing tools share, `text` what bounds a text,
//! `failure` how a file error is told to the model, `offload` how work that takes long leaves the executor, `process`
//! what the tools that run processes share, `result` how a kept result is read.

use std::sync::Arc;

use kode_core::tool::{Tool, Typed};

mod bash_kill;
mod bash_logs;
mod bash_run;
mod edit;
mod failure;
mod fs_edit;
mod fs_glob;
mod fs_grep;
mod fs_multi_edit;
mod fs_read;
mod fs_write;
mod offload;
mod process;
mod result;
mod text;
mod todo_read;
mod todo_write;

pub use bash_kill::BashKill;
pub use bash_logs::BashLogs;
pub use bash_run::BashRun;
pub use fs_edit::FsEdit;
pub use fs_glob::FsGlob;
pub use fs_grep::FsGrep;
pub use fs_multi_edit::FsMultiEdit;
pub use fs_read::FsRead;
pub use fs_write::FsWrite;
pub use todo_read::TodoRead;
pub use todo_write::TodoWrite;

/// Largest file that is read whole, in bytes (10 MiB).
pub(crate) const FILE_MAX: u64 = 10 * 1024 * 1024;

/// Every built-in tool, ready to be registered.
#[must_use]
pub fn builtin() -> Vec<Arc<dyn Tool>> {
    vec![
        Arc::new(Typed(FsRead)),
        Arc::new(Typed(FsWrite)),
        Arc::new(Typed(FsEdit)),
        Arc::new(Typed(FsMultiEdit)),
        Arc::new(Typed(FsGlob)),
        Arc::new(Typed(FsGrep)),
        Arc::new(Typed(BashRun)),
        Arc::new(Typed(BashLogs)),
        Arc::new(Typed(BashKill)),
        Arc::new(Typed(TodoRead)),
        Arc::new(Typed(TodoWrite)),
    ]
}
