//! The server from outside: through its router, and over a real socket.

#![expect(clippy::unwrap_used, reason = "a test that unwraps a surprise fails, as it should")]

mod agents;
mod approvals;
mod auth;
mod chat;
mod contract;
mod description;
mod drive;
mod events;
mod forks;
mod frame;
mod ids;
mod info;
mod messages;
mod metrics;
mod page;
mod refusals;
mod repeats;

mod socket;
mod stream;
mod todos;
mod turn;
mod world;
