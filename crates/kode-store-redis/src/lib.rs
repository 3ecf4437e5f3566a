//! The Redis store of kode: fenced appends by server-side functions, leases by the server's clock.
//!
#![doc = include_str!("../README.md")]
//!
//! # Rooms
//!
//! ```text
//! redis_store   the ports; opening
//!   journal · checkpoint · blobs · nodes · counts     what a port does: keys, a function, what its answer means
//!   leases        who may write, by the server's clock
//!   wakes         that journals moved, to those who watch them
//!     ear         the connection that hears it
//!   names         the index of names and of unfinished work: a superset, and how it stays one
//!     script      the functions that run in the server (scripts/*.lua), and their answers
//!       server    connections, time-outs, one server or a cluster
//!     layout      the names of keys              (pure)
//!     line        one entry                      (pure)
//!   durability    what a server's settings mean  (pure)
//!   url · error   what comes in, and what goes out
//! ```

mod blobs;
mod checkpoint;
mod counts;
mod durability;
mod ear;
mod error;
mod journal;
mod layout;
mod leases;
mod line;
mod names;
mod nodes;
mod redis_store;
mod script;
mod server;
mod url;
mod wakes;

pub use durability::Profile;
pub use redis_store::RedisStore;
pub use url::{InvalidUrl, RedisUrl};
