//! Upstream's directories, read and written into a store.

#![expect(clippy::unwrap_used, reason = "a test that unwraps a surprise fails, as it should")]

mod agents;
mod directories;
