//! The tests of this crate, against real directories. What never belongs here: sleeping, or trusting a
//! path check that the kernel did not make.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod egress;
mod escape;
mod forks;
mod fuzz;
mod ledger;
mod open;
mod process;
mod race;
mod remove;
mod support;
mod walk;
mod write;
