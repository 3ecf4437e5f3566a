//! Conformance suites, a scripted model, simulated time and stream rendering for tests of kode agents,
//! tools and stores.
//!
#![doc = include_str!("../README.md")]

pub mod clock;
pub mod faulty;
pub mod glm_emulator;
pub mod golden;
pub mod processes;
pub mod rounds;
pub mod sandbox_suite;
pub mod scenario;
pub mod scripted_model;
pub mod servers;
pub mod sim;
pub mod store_suite;
pub mod survivors;
pub mod wakes;
pub mod workspace;
