//! The PostgreSQL store, against a server of its own.

mod conformance;
mod differential;
mod durability;
mod faults;
mod killed;
mod proxy;
mod schema;
mod server;
mod wakes;
