//! The file store against the ports' contract, and as a directory of the host.

mod conformance;
mod differential;
mod golden;
mod host;
