//! Kernel-enforced file access (and, later, processes) for kode's tools.
//!
#![doc = include_str!("../README.md")]
//!
//! # The code
//!
//! `factory` opens and removes work directories, `forks` copies and shares them, `workspace` is the thin asynchronous face of one of them,
//! `egress` is the proxy by which processes will reach allowed hosts, `level` knows the names of the levels, and `files` is the blocking core that speaks to the kernel.

#[cfg(not(target_os = "linux"))]
compile_error!("kode-sandbox needs Linux: its promises rest on openat2");

pub mod egress;
mod factory;
mod files;
mod forks;
mod level;
mod workspace;

pub use factory::LocalSandbox;
