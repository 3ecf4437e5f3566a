//! The tools as a model calls them, each story told over files in memory and over real ones.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod bash;
mod bounds;
mod edit;
mod glob;
mod grep;
mod multi_edit;
mod read;
mod schema;
mod support;
mod todo;
mod write;
