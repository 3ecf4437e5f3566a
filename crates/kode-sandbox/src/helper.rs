//! The helper: a small process between the server and what it runs. It puts every layer on itself, or has the namespaces made
//! where it may not, so the server never forks; and it outlives nothing: when its socket to the server closes, all that it
//! holds is killed.
//!
//! It has one thread, knows nothing of agents, and speaks only with the server that started it.

mod bubblewrap;
mod cgroup;
mod confine;
mod etc;
mod hidden;
mod init;
mod network;
mod root;
mod seccomp;
mod socket;
mod supervise;
mod tree;
mod usage;

pub(crate) use self::bubblewrap::{
    PROGRAM as BUBBLEWRAP, SLOW as BUBBLEWRAP_SLOW, STAGE as BUBBLEWRAP_STAGE,
};

use std::fmt::Display;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

/// The name by which a program is started to be the helper.
pub(crate) const NAME: &str = "kode-sandbox-helper";
/// The one argument with which it is started once more, to be the first in namespaces that somebody else has made.
const HOLDER: &str = "kode-sandbox-holder";

/// Whether this program answers to that name.
static ENTERED: AtomicBool = AtomicBool::new(false);

/// Makes this program able to be its own helper. To be called first in `main`, before any thread is started:
/// started by the sandbox under the helper's name, the program is the helper and never comes back from here.
///
/// ```no_run
/// kode_sandbox::helper::enter();
/// // … everything else …
/// ```
pub fn enter() {
    if std::env::args_os().next().is_some_and(|name| name == NAME) || is_holder() {
        let code = run();
        std::process::exit(i32::from(code != ExitCode::SUCCESS));
    }
    ENTERED.store(true, Ordering::Release);
}

/// Whether [`enter`] was called.
pub(crate) fn is_entered() -> bool {
    ENTERED.load(Ordering::Acquire)
}

/// Is the helper: the whole of `main` for a program that is nothing else. Its standard input is its socket.
#[must_use]
pub fn run() -> ExitCode {
    let is_well = if is_holder() { bubblewrap::hold().is_ok() } else { supervise::run().is_ok() };
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn is_holder() -> bool {
    let mut words = std::env::args_os().skip(1);
    words.next().is_some_and(|word| word == HOLDER) && words.next().is_none()
}

/// What went wrong, and at which step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) stage: String,
    pub(crate) why: String,
}

/// Names the step of a failure.
fn at<E: Display>(stage: &'static str) -> impl Fn(E) -> Failed {
    move |error| Failed { stage: stage.to_owned(), why: error.to_string() }
}
