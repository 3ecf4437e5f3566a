//! Namespaces by way of bubblewrap, for hosts that allow them to that program and not to kode. It makes them with a first
//! process in them, and nothing else: their owner is the helper's user, so the helper joins them, and goes on as in those that
//! it made itself.
//!
//! What is shown inside, and what is put on, is the affair of others: it is the same in both.

use std::convert::Infallible;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use rustix::fs::{self, Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{DumpableBehavior, Pid, PidfdFlags, pidfd_open};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};

use super::supervise::{INNER_ID, null, readable};
use super::{Failed, HOLDER, at, confine, tree};
use crate::sys::{self, Fork};

/// Where distributions have it, and what their rules go by.
pub(crate) const PROGRAM: &str = "/usr/bin/bwrap";
/// The step at which it failed.
pub(crate) const STAGE: &str = "bubblewrap";
/// The step at which it had no time.
pub(crate) const SLOW: &str = "bubblewrap's time";
/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest complaint of its that is passed on.
const COMPLAINT: usize = 512;
/// The host as it is, in namespaces that end with whoever asked for them.
const ARGUMENTS: [&str; 13] = [
    "bwrap",
    "--unshare-user",
    "--unshare-pid",
    "--unshare-net",
    "--unshare-ipc",
    "--unshare-uts",
    "--die-with-parent",
    "--as-pid-1",
    "--hostname",
    "kode",
    "--dev-bind",
    "/",
    "/",
];

/// Namespaces that this process has joined, all but the one of mounts.
pub(super) struct Joined {
    /// A process that is in that one, for who builds a root in it.
    pub(super) holder: OwnedFd,
    /// What keeps them.
    pub(super) hold: Hold,
}

/// Keeps namespaces for as long as it is there.
pub(super) struct Hold {
    /// Its other end is read by the process that holds them, which ends with it.
    _lifeline: OwnedFd,
    /// bubblewrap's processes, and that one: none of the command's.
    pub(super) processes: Vec<Pid>,
}

/// The ends of the process that becomes bubblewrap.
struct Ends {
    lifeline: OwnedFd,
    ready: OwnedFd,
    complaints: OwnedFd,
}

/// Has the namespaces made and joins them. Gives up when `server` has something to say, which is its end.
pub(super) fn join(server: &OwnedFd) -> Result<Joined, Failed> {
    let (theirs, lifeline) = pipe_with(PipeFlags::CLOEXEC).map_err(at(STAGE))?;
    let (ready, is_ready) = pipe_with(PipeFlags::CLOEXEC).map_err(at(STAGE))?;
    let (said, complaints) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).map_err(at(STAGE))?;
    let ends = Ends { lifeline: theirs, ready: is_ready, complaints };
    let bubblewrap = match sys::fork().map_err(at(STAGE))? {
        Fork::Child => run(&ends),
        Fork::Parent(bubblewrap) => bubblewrap,
    };
    drop(ends);
    let joined = wait(server, &ready).and_then(|()| enter(bubblewrap));
    match joined {
        Ok((holder, processes)) => Ok(Joined { holder, hold: Hold { _lifeline: lifeline, processes } }),
        Err(failed) => {
            tree::kill(bubblewrap);
            Err(complaint(&said).unwrap_or(failed))
        }
    }
}

/// Waits until a process is in the namespaces, and they are as they shall be.
fn wait(server: &OwnedFd, ready: &OwnedFd) -> Result<(), Failed> {
    let failed = at::<&str>(STAGE);
    match readable(server, ready, PATIENCE).map_err(at(STAGE))? {
        [true, _] => Err(failed("the server is gone")),
        [false, false] => Err(at(SLOW)("it took too long")),
        [false, true] => match rustix::io::retry_on_intr(|| rustix::io::read(ready, &mut [0])) {
            Ok(1) => Ok(()),
            _ => Err(failed("it ended, and said nothing")),
        },
    }
}

/// Joins the namespaces of what bubblewrap started. From here on this process has every right in them, and what it starts
/// is in theirs for processes.
fn enter(bubblewrap: Pid) -> Result<(OwnedFd, Vec<Pid>), Failed> {
    let processes = tree::below(bubblewrap);
    let first = processes.get(1).ok_or_else(|| at(STAGE)("there is nothing in its namespaces"))?;
    let holder = pidfd_open(*first, PidfdFlags::empty()).map_err(at(STAGE))?;
    let kinds = ThreadNameSpaceType::USER
        | ThreadNameSpaceType::PROCESS_ID
        | ThreadNameSpaceType::NETWORK
        | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
        | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME;
    move_into_thread_name_spaces(holder.as_fd(), kinds)
        .map_err(|error| at(STAGE)(format!("its namespaces may not be joined: {error}")))?;
    Ok((holder, processes))
}

/// What it said before it ended.
fn complaint(said: &OwnedFd) -> Option<Failed> {
    let mut text = [0; COMPLAINT];
    let length = rustix::io::read(said, &mut text).ok()?;
    let text = String::from_utf8_lossy(&text[..length]);
    let line = text.lines().next().filter(|line| !line.is_empty())?;
    Some(at(STAGE)(line.trim_start_matches("bwrap: ")))
}

/// Becomes bubblewrap. Never returns.
fn run(ends: &Ends) -> ! {
    let Err(Failed { why, .. }) = become_it(ends);
    let _ = rustix::io::write(&ends.complaints, why.as_bytes());
    sys::exit_now(1)
}

fn become_it(ends: &Ends) -> Result<Infallible, Failed> {
    sys::die_with_parent().map_err(at(STAGE))?;
    rustix::stdio::dup2_stdin(&ends.lifeline).map_err(at(STAGE))?;
    rustix::stdio::dup2_stdout(&ends.ready).map_err(at(STAGE))?;
    rustix::stdio::dup2_stderr(&ends.complaints).map_err(at(STAGE))?;
    // By descriptor, as its file may have been replaced since.
    let program = fs::open("/proc/self/exe", OFlags::PATH, Mode::empty()).map_err(at(STAGE))?;
    let id = INNER_ID.to_string();
    let program = format!("/proc/self/fd/{}", program.as_raw_fd());
    let rest = ["--uid", &id, "--gid", &id, "--", &program, HOLDER];
    let words: Vec<String> = ARGUMENTS.into_iter().chain(rest).map(str::to_owned).collect();
    Err(at(STAGE)(sys::exec(PROGRAM, &words, &[])))
}

/// Is the process that holds the namespaces: the first in them, to which comes whatever loses its parent. Says that it is
/// there, and ends with its standard input, and all the rest with it.
pub(super) fn hold() -> rustix::io::Result<()> {
    get_ready().inspect_err(|error| {
        let _ = rustix::io::write(rustix::stdio::stderr(), error.to_string().as_bytes());
    })?;
    rustix::io::retry_on_intr(|| rustix::io::read(rustix::stdio::stdin(), &mut [0])).map(drop)
}

fn get_ready() -> rustix::io::Result<()> {
    sys::close_from(3)?;
    // It is seen from inside, but not looked into: its root and its directory may still be the host's.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::process::chdir("/")?;
    confine::drop_privileges()?;
    sys::reap_by_itself();
    rustix::io::write(rustix::stdio::stdout(), b"r")?;
    let null = null()?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)
}
