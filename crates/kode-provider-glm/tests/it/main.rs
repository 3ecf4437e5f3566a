//! The provider from outside: recorded streams, the rules that no recording has, and real HTTP.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod fixtures;
mod hostile;
mod rules;
mod support;
mod transport;
