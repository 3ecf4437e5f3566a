//! The file store of kode: checksummed journals, checkpoints, one lock per directory.
//!
#![doc = include_str!("../README.md")]
//!
//! # Rooms
//!
//! ```text
//! fs_store   the ports, asynchronous
//!   store    the ports' steps, blocking           slots   which lease is in force
//!     opening  the directory: lock, marker, leftovers      removal  an agent's directory goes
//!     writer   one journal under a lease          names   marks, tombstones, epochs
//!     journal  its segments, its end, its pages   checkpoint · blobs · reserve
//!     elide    what is left of a segment          stage    making a segment's file
//!       segment  finding a place, walking lines
//!         chain    which line may follow which    (pure)
//!         line     one line                       (pure)
//!   check · repair · migrate    for a person who cares for a store
//! commit     where an append becomes durable      disk    what is asked of a file system
//!   log      one file for all agents, group commit, and what is replayed of it after a power loss
//!   retire   the thread that puts the journals behind it on the disk
//! ```

mod blobs;
mod chain;
mod check;
mod checkpoint;
mod commit;
mod committer;
mod counts;
mod crew;
mod directory;
mod disk;
mod elide;
mod error;
mod fs_store;
mod ground;
mod journal;
mod layout;
mod line;
mod log;
mod migrate;
mod names;
mod opening;
mod reads;
mod removal;
mod repair;
mod reserve;
mod retire;
mod segment;
mod settle;
mod slots;
mod stage;
mod store;
mod writer;

pub use check::{Fit, Report};
pub use fs_store::FsStore;
pub use repair::Repair;

#[cfg(test)]
mod tests;
