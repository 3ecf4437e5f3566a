//! Kernel-enforced file access and processes for kode's tools.
//!
#![doc = include_str!("../README.md")]
//!
//! # The code
//!
//! `factory` opens and removes work directories, `forks` copies and shares them, `workspace` is the thin asynchronous
//! face of one of them, and `files` is the blocking core that speaks to the kernel of files.
//!
//! `level` names what can be enforced, `policy` is what the server tells the helper, `helper` is the process that puts
//! it on, `process` the server's side of one, `probe` the attempts by which a level is proven, `setup` makes a policy
//! of a template's wishes, `egress` the proxy by which processes reach allowed hosts, and `sys` has the system calls without a safe wrapper.

#[cfg(not(target_os = "linux"))]
compile_error!("kode-sandbox needs Linux: its promises rest on openat2");

pub mod egress;
mod factory;
mod files;
mod forks;
pub mod helper;
mod level;
mod policy;
mod probe;
mod process;
mod setup;
#[expect(unsafe_code, reason = "system calls that no safe wrapper has")]
mod sys;
mod workspace;

pub use factory::LocalSandbox;
pub use level::{Layer, Level};

/// System calls by number for the escape battery, which has no unsafe code of its own. No part of the API.
#[doc(hidden)]
pub mod raw {
    pub use crate::sys::{Word, call};
}
