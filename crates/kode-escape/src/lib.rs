//! The escape battery: attempts to break out of the sandbox, made at every level and as every kind of user.
//!
#![doc = include_str!("../README.md")]

pub mod attempt;
pub mod battery;
pub mod inside;
pub mod matrix;
pub mod outside;
pub mod targets;
