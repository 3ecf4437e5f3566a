//! The real binary, from outside: started, asked, killed, started again.

#![expect(clippy::unwrap_used, reason = "a test that unwraps a surprise fails, as it should")]

mod bad_input;
mod docs;
mod glm;
mod harness;
mod import;
mod kill;
mod replay;
mod spine;
mod store;
