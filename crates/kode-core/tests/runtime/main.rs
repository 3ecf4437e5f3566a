//! The shell around the machine, in process: driver, hub, handle and supervision over the store in memory.

#![expect(clippy::unwrap_used, reason = "a test that unwraps a surprise fails, as it should")]

mod compaction;
mod completions;
mod elision;
mod endings;
mod failures;
mod following;
mod forks;
mod hooks;
mod interrupts;
mod jobs;
mod listeners;
mod policies;
mod readers;
mod record;
mod results;
mod resume;
mod stuck;
mod turns;
mod world;
