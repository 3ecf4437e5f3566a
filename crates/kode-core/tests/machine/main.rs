//! The pure machine, from outside: each rule as a scenario with a snapshot, all rules together as
//! properties over random inputs, and a crash at every entry. Never a driver, a store or real time.

mod approvals;
mod check;
mod compaction;
mod context;
mod crash;
mod elision;
mod fork;
mod hooks;
mod interrupt;
mod jobs;
mod limits;
mod manual;
mod messages;
mod model;
mod ops;
mod prompt;
mod properties;
mod refusals;
mod reminders;
mod sizes;
mod tools;
mod turn;
mod values;
mod view;
mod world;
