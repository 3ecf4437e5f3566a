//! The helper's second process: the first one of the new pid namespace, unless bubblewrap made that. It builds the root, puts
//! on what is left to put on, starts the command, and reaps whatever loses its parent. When it ends, all the rest is ended.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{DumpableBehavior, Pid, WaitOptions, WaitStatus};
use rustix::thread::UnshareFlags;

use super::supervise::{INNER_ID, null};
use super::{Failed, at, confine, root, seccomp};
use crate::egress;
use crate::level::Layer;
use crate::policy::{Act, Policy};
use crate::probe;
use crate::sys::{self, Fork};

pub(super) const MAP_IDS: &str = "map";
pub(super) const STARTED: &str = "started";
pub(super) const FAILED: &str = "failed";
pub(super) const EXITED: &str = "exited";
pub(super) const SIGNALED: &str = "signaled";

/// What comes from outside by descriptor.
pub(super) struct Inner {
    pub(super) work: OwnedFd,
    pub(super) allow: Vec<OwnedFd>,
    /// A user namespace in whose view root's files are the sandbox's.
    pub(super) idmap: Option<OwnedFd>,
    /// A process whose namespace of mounts the root is built in; without one, a new one is made.
    pub(super) holder: Option<OwnedFd>,
}

/// The two pipes to the supervisor.
struct Lines {
    up: OwnedFd,
    down: OwnedFd,
}

impl Lines {
    fn say(&self, line: &str) {
        let _ = rustix::io::write(&self.up, format!("{line}\n").as_bytes());
    }

    /// Whether the supervisor is there: it alone has the other end, and says nothing now.
    fn is_held(&self) -> Result<(), Failed> {
        let mut polled = [PollFd::new(&self.down, PollFlags::IN)];
        match poll(&mut polled, Some(&Timespec::default())).map_err(at("start"))? {
            0 => Ok(()),
            _ => Err(at("start")("the supervisor is gone")),
        }
    }

    /// Waits for the supervisor's go.
    fn wait(&self) -> Result<(), Failed> {
        let mut go = [0];
        match rustix::io::retry_on_intr(|| rustix::io::read(&self.down, &mut go)).map_err(at("start"))? {
            0 => Err(at("start")("the supervisor is gone")),
            _ => Ok(()),
        }
    }
}

/// Runs to the end of the command, and of the process.
pub(super) fn run(policy: &Policy, layers: &BTreeSet<Layer>, inner: Inner, up: OwnedFd, down: OwnedFd) -> ! {
    let lines = Lines { up, down };
    match begin(policy, layers, inner, &lines) {
        Ok(status) => lines.say(&status),
        Err(Failed { stage, why }) => lines.say(&format!("{FAILED} {stage}: {}", why.replace('\n', " "))),
    }
    sys::exit_now(0)
}

fn begin(policy: &Policy, layers: &BTreeSet<Layer>, inner: Inner, lines: &Lines) -> Result<String, Failed> {
    sys::die_with_parent().map_err(at("start"))?;
    lines.wait()?;
    let has = |layer| layers.contains(&layer);
    let place = if has(Layer::Namespaces) { root::enter(policy, &inner)? } else { root::stay(&inner.work)? };
    if has(Layer::OwnUid) {
        become_nobody(lines)?;
    }
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(at("start"))?;
    // A change of ids takes this back, so it is asked for again; the supervisor may have gone in between.
    sys::die_with_parent().map_err(at("start"))?;
    lines.is_held()?;
    if has(Layer::Hygiene) {
        confine::drop_privileges().map_err(at("privileges"))?;
    }
    if has(Layer::Rlimits) {
        confine::limit(&policy.bounds).map_err(at("rlimits"))?;
    }
    if has(Layer::Landlock) {
        confine::landlock(&place, has(Layer::Namespaces))?;
    }
    drop(inner);
    let filters = has(Layer::Seccomp).then(|| seccomp::filters(has(Layer::Namespaces))).transpose()?;
    start(policy, filters, &place, lines)
}

/// Becomes a user of a new namespace, which is the sandbox's own id outside.
fn become_nobody(lines: &Lines) -> Result<(), Failed> {
    let failed = at("own_uid");
    sys::clear_groups().map_err(&failed)?;
    sys::unshare(UnshareFlags::NEWUSER).map_err(&failed)?;
    lines.say(MAP_IDS);
    lines.wait()?;
    let (uid, gid) = (rustix::process::Uid::from_raw(INNER_ID), rustix::process::Gid::from_raw(INNER_ID));
    rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(&failed)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(&failed)
}

/// Starts the command and waits for it.
fn start(
    policy: &Policy,
    filters: Option<seccomp::Filters>,
    place: &root::Place,
    lines: &Lines,
) -> Result<String, Failed> {
    let (result, to_us) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(at("pipe"))?;
    let command = match sys::fork().map_err(at("fork"))? {
        Fork::Child => {
            let failed = exec(policy, filters, place);
            let _ = rustix::io::write(&to_us, format!("{}: {}", failed.stage, failed.why).as_bytes());
            sys::exit_now(127)
        }
        Fork::Parent(command) => command,
    };
    drop(to_us);
    let mut why = [0; 1024];
    match rustix::io::retry_on_intr(|| rustix::io::read(&result, &mut why)).map_err(at("start"))? {
        0 => {}
        length => {
            let text = String::from_utf8_lossy(&why[..length]).into_owned();
            let (stage, why) = text.split_once(": ").unwrap_or(("start", &text));
            return Err(Failed { stage: stage.into(), why: why.into() });
        }
    }
    // Nothing of ours may hold the output open, or its readers would wait for us.
    if let Ok(null) = null() {
        let _ = rustix::stdio::dup2_stdout(&null);
        let _ = rustix::stdio::dup2_stderr(&null);
    }
    lines.say(STARTED);
    Ok(reap(command))
}

/// Reaps everything until the command itself has ended.
fn reap(command: Pid) -> String {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == command => return ended(status),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return format!("{FAILED} start: the command was lost"),
        }
    }
}

fn ended(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("{EXITED} {code}"),
        (None, Some(signal)) => format!("{SIGNALED} {signal}"),
        (None, None) => format!("{FAILED} start: the command ended in no known way"),
    }
}

/// The last steps, in the process that becomes the command.
fn exec(policy: &Policy, filters: Option<seccomp::Filters>, place: &root::Place) -> Failed {
    let prepared = (|| {
        rustix::process::setsid().map_err(at("session"))?;
        sys::default_signals().map_err(at("signals"))?;
        if policy.layers.contains(&Layer::Landlock) {
            // Who holds all of this together is out of its reach; an older kernel knows no such fence.
            let _ = confine::fence();
        }
        if let Some(filters) = &filters {
            filters.apply()?;
        }
        Ok(())
    })();
    if let Err(failed) = prepared {
        return failed;
    }
    match &policy.act {
        Act::Shell(line) => shell(line, &environment(policy, place)),
        Act::Probe(targets) => {
            probe::attempt_all(targets);
            sys::exit_now(0)
        }
    }
}

/// Becomes the shell; the first one that is there.
fn shell(line: &str, env: &[(String, String)]) -> Failed {
    let mut last = rustix::io::Errno::NOENT;
    for program in ["/bin/bash", "/usr/bin/bash", "/bin/sh", "/usr/bin/sh"] {
        let name = program.rsplit('/').next().unwrap_or(program);
        last = sys::exec(program, &[name.to_owned(), "-c".into(), line.to_owned()], env);
        if last != rustix::io::Errno::NOENT {
            break;
        }
    }
    at("shell")(last)
}

fn environment(policy: &Policy, place: &root::Place) -> Vec<(String, String)> {
    let mut env = policy.env.clone();
    let mut set = |name: &str, value: String| {
        env.retain(|(known, _)| known != name);
        env.push((name.to_owned(), value));
    };
    set("HOME", place.home.clone());
    set("PWD", place.home.clone());
    set("TMPDIR", place.tmp.clone());
    if policy.egress {
        for (name, value) in egress::ENVIRONMENT {
            set(name, value.to_owned());
        }
    }
    env
}
