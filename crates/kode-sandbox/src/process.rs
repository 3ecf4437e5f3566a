//! Processes, from the server's side: what is started, what it wrote, and how it ended. The helper is what holds
//! them; here is only the other end of its socket and of its output.

mod capture;
mod hint;
mod keeper;
mod ladder;
mod launch;
mod log;
mod prove;
mod run;

pub(crate) use self::launch::Program;
pub(crate) use self::log::{Logs, forget as forget_logs};
pub(crate) use self::prove::{Proven, prove, without_helper};
pub(crate) use self::run::{LocalProcesses, places};
