//! The real binary, from outside: started, asked, killed, started again.

#![expect(clippy::unwrap_used, reason = "a test that unwraps a surprise fails, as it should")]

mod access;
mod agents;
mod bad_input;
mod canaries;
mod chat;
mod clients;
mod collector;
mod copy;
mod decide;
mod deploy;
mod docs;
mod doctor;
mod events;
mod forks;
mod glm;
mod harness;
mod import;
mod kill;
mod many;
mod nodes;
mod otel;
mod postgres;
mod readers;
mod redis;
mod replay;
mod shells;
mod spine;
mod stop;
mod store;
mod terminal;
