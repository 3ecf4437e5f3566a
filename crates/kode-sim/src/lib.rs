#![doc = include_str!("../README.md")]

pub mod census;
mod doors;
mod faults;
mod load;
mod model;
mod node;
mod tools;
pub mod world;
