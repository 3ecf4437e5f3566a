//! The pool from outside, over the store in memory and a model that a script plays.

#![expect(clippy::unwrap_used, reason = "a test that unwraps a surprise fails, as it should")]

mod census;
mod delete;
mod final_delete;
mod forks;
mod idle;
mod jobs;
mod nodes;
mod prefetch;
mod readers;
mod residency;
mod restart;
mod single_flight;
mod sleep;
mod world;
