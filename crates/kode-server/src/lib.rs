//! kode over HTTP: routes, server-sent events, error bodies.
//!
#![doc = include_str!("../README.md")]
//! [`serve`] is the whole server; [`router`] is what it serves, for hosts and tests that bring their own
//! connections.

mod app;
pub mod auth;
mod cluster;
mod config;
mod cors;
mod error;
mod extract;
mod hex;
mod idempotency;
mod line;
mod metrics;
mod openapi;
mod position;
mod refusal;
mod request;
mod routes;
mod serve;
mod shape;
mod shown;
mod sse;
mod strict;
pub mod trace;
mod users;

pub use app::{App, router};
pub use auth::Auth;
pub use cluster::{Cluster, ClusterSecret, WeakClusterSecret};
pub use config::ServerConfig;
pub use metrics::Metrics;
pub use openapi::document as openapi;
pub use serve::{serve, serve_metrics, serve_router};
