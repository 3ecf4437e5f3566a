//! The PostgreSQL store of kode: one row that fences an agent's writers, one statement for each append.
//!
#![doc = include_str!("../README.md")]
//!
//! # Rooms
//!
//! ```text
//! pg_store   the ports; opening
//!   journal · elide · leases · checkpoint · blobs · catalog · nodes · counts    a port's statements each
//!   check      for a person who cares for a store
//!   voice      that journals moved, told                wakes    and heard
//!     agent_row  the row that says who may write and where the journal ends
//!   migrate    the schema, by versions                settings  what the server's settings promise
//!     pool     connections, one statement or one transaction at a time
//!       url    where the database is                  error     from the database's errors to the port's
//! ```

mod agent_row;
mod blobs;
mod catalog;
mod check;
mod checkpoint;
mod counts;
mod elide;
mod error;
mod journal;
mod leases;
mod migrate;
mod nodes;
mod pg_store;
mod pool;
mod settings;
mod url;
mod voice;
mod wakes;

pub use check::Report;
pub use migrate::Versions;
pub use pg_store::PgStore;
