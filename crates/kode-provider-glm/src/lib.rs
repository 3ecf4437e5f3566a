//! GLM chat completions as a kode model.
//!
#![doc = include_str!("../README.md")]

mod auth;
pub mod classify;
pub mod codec;
mod config;
mod limit;
pub mod models;
mod redact;
mod request;
pub mod sse;
mod transport;

pub use auth::{Auth, GlmKey, InvalidKey};
pub use config::{DEFAULT_BASE_URL, GlmConfig, GlmConfigError, Thinking, Timeouts};
pub use transport::Glm;
