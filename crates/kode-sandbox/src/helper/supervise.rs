//! The helper's first process: outside of the namespaces that it makes, it waits for the first of four things,
//! the end of the command, the time limit, too much use, or the end of the server; then it kills what is left,
//! tells what happened, and ends.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use kode_core::sandbox::Limit;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{DumpableBehavior, Gid, Pid, Uid};
use rustix::thread::{CapabilitySet, UnshareFlags};

use super::bubblewrap::{Hold, Joined};
use super::cgroup::Cgroup;
use super::init::{self, Inner};
use super::usage::Usage;
use super::{Failed, at, bubblewrap, confine, network, root, socket, tree, usage};
use crate::level::Layer;
use crate::policy::{Act, Builder, End, Policy, Told};
use crate::sys::{self, Fork};

/// The user and group that a process is inside of its namespaces.
pub(super) const INNER_ID: u32 = 1000;

/// What the supervisor keeps of root's rights: to kill, and to count what is used, whoever owns it.
const SUPERVISING: [CapabilitySet; 3] =
    [CapabilitySet::KILL, CapabilitySet::DAC_READ_SEARCH, CapabilitySet::SYS_PTRACE];
/// And, until it has said who the sandbox's user is.
const MAPPING: [CapabilitySet; 2] = [CapabilitySet::SETUID, CapabilitySet::SETGID];

/// A sandbox under way, seen from outside.
struct Supervisor {
    server: OwnedFd,
    policy: Policy,
    layers: BTreeSet<Layer>,
    missing: Vec<String>,
    cgroup: Option<Cgroup>,
    usage: Usage,
    /// What keeps the namespaces that bubblewrap made, where it did.
    hold: Option<Hold>,
}

/// What a line from inside says.
enum Said {
    MapIds,
    Started,
    Failed(Failed),
    Ended(End),
}

/// Is the helper.
pub(super) fn run() -> Result<(), Failed> {
    // Whatever a library of the server's left open without close-on-exec ends here.
    sys::close_from(3).map_err(at("descriptors"))?;
    let server = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3).map_err(at("descriptors"))?;
    // What runs reads nothing.
    rustix::stdio::dup2_stdin(null().map_err(at("descriptors"))?).map_err(at("descriptors"))?;
    let outcome = socket::receive(&server)
        .and_then(|(policy, descriptors)| Supervisor::begin(&server, policy, descriptors));
    if let Err(Failed { stage, why }) = &outcome {
        socket::tell(&server, &Told::Failed { stage: stage.clone(), why: why.clone() }, None);
    }
    outcome
}

impl Supervisor {
    fn begin(server: &OwnedFd, policy: Policy, mut descriptors: Vec<OwnedFd>) -> Result<(), Failed> {
        if descriptors.len() != 1 + policy.allow.len() {
            return Err(at("policy")("descriptors are missing"));
        }
        let server = server.try_clone().map_err(at("descriptors"))?;
        rustix::process::setsid().map_err(at("session"))?;
        rustix::process::umask(Mode::RWXG | Mode::RWXO);
        // What loses its parent inside becomes ours, so nothing gets lost without a pid namespace.
        rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1)).map_err(at("session"))?;
        let work = descriptors.remove(0);
        let usage = Usage::of(&work, &policy.bounds, policy.layers.contains(&Layer::Namespaces))
            .map_err(at("work directory"))?;
        let mut supervisor = Self {
            server,
            layers: policy.layers.clone(),
            missing: Vec::new(),
            cgroup: None,
            usage,
            hold: None,
            policy,
        };
        supervisor.take_cgroup()?;
        // Before the pid namespace: the first process that is made in it must be the one that stays.
        let idmap = supervisor.idmap()?;
        let holder = supervisor.leave_namespaces()?;
        // Only now: what may not be dumped does not own its `/proc`, in which the ids are mapped.
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(at("session"))?;
        let is_apart = supervisor.has(Layer::Namespaces);
        let listener = (supervisor.policy.egress && is_apart).then(network::listener).transpose()?;
        supervisor.go(Inner { work, allow: descriptors, idmap, holder }, listener)
    }

    fn has(&self, layer: Layer) -> bool {
        self.layers.contains(&layer)
    }

    /// A layer that cannot be had: an end where it is needed, else a note.
    fn lacks(&mut self, layer: Layer, why: impl Into<String>) -> Result<(), Failed> {
        let why = why.into();
        if self.policy.needed.contains(&layer) {
            return Err(Failed { stage: layer.name().into(), why });
        }
        self.layers.remove(&layer);
        self.missing.push(format!("{}: {why}", layer.name()));
        Ok(())
    }

    fn take_cgroup(&mut self) -> Result<(), Failed> {
        if !self.has(Layer::Cgroup) {
            return Ok(());
        }
        if matches!(self.policy.act, Act::Probe(_)) {
            // Once for each server: what helpers left behind that were killed themselves.
            Cgroup::sweep();
        }
        match Cgroup::make(&self.policy.bounds) {
            Ok(cgroup) => self.cgroup = Some(cgroup),
            Err(why) => self.lacks(Layer::Cgroup, why)?,
        }
        Ok(())
    }

    /// A user id of its own takes root, and namespaces that root made.
    fn check_own_uid(&mut self) -> Result<(), Failed> {
        let why = if !rustix::process::geteuid().is_root() {
            "only a server that runs as root can give one"
        } else if !self.has(Layer::Namespaces) || self.policy.builder == Builder::Bubblewrap {
            "it needs namespaces of the helper's own"
        } else {
            return Ok(());
        };
        if self.has(Layer::OwnUid) { self.lacks(Layer::OwnUid, why) } else { Ok(()) }
    }

    /// From here on this process is in namespaces of the sandbox's own, all but that of mounts: where there is one already, who
    /// is in it is told. What it starts is in theirs for processes.
    fn leave_namespaces(&mut self) -> Result<Option<OwnedFd>, Failed> {
        self.check_own_uid()?;
        if !self.has(Layer::Namespaces) {
            return Ok(None);
        }
        if self.policy.builder == Builder::Bubblewrap {
            let Joined { holder, hold } = bubblewrap::join(&self.server)?;
            self.hold = Some(hold);
            return Ok(Some(holder));
        }
        let kinds = UnshareFlags::NEWPID | UnshareFlags::NEWNET | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
        if rustix::process::geteuid().is_root() {
            sys::unshare(kinds).map_err(at("namespaces"))?;
        } else {
            let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
            sys::unshare(kinds | UnshareFlags::NEWUSER).map_err(at("namespaces"))?;
            fs::write("/proc/self/setgroups", "deny").map_err(at("user namespace"))?;
            fs::write("/proc/self/uid_map", format!("{INNER_ID} {uid} 1")).map_err(at("user namespace"))?;
            fs::write("/proc/self/gid_map", format!("{INNER_ID} {gid} 1")).map_err(at("user namespace"))?;
        }
        rustix::system::sethostname(b"kode").map_err(at("host name"))?;
        network::loopback_up()?;
        Ok(None)
    }

    /// The view in which files of root belong to the sandbox's own user.
    fn idmap(&self) -> Result<Option<OwnedFd>, Failed> {
        if !self.has(Layer::OwnUid) || !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        // By their names in `/dev` the streams are opened anew, which is up to their owner.
        let owner = (Uid::from_raw(self.policy.owner), Gid::from_raw(self.policy.owner));
        for stream in [rustix::stdio::stdout(), rustix::stdio::stderr()] {
            rustix::fs::fchown(stream, Some(owner.0), Some(owner.1)).map_err(at("output"))?;
        }
        root::user_namespace(0, self.policy.owner).map(Some)
    }

    fn go(mut self, inner: Inner, listener: Option<OwnedFd>) -> Result<(), Failed> {
        let (up_read, up_write) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(at("pipe"))?;
        let (down_read, down_write) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(at("pipe"))?;
        let child = match sys::fork().map_err(at("fork"))? {
            Fork::Child => {
                drop((up_read, down_write));
                init::run(&self.policy, &self.layers, inner, up_write, down_read)
            }
            Fork::Parent(child) => child,
        };
        drop((up_write, down_read, inner));
        let still = if self.has(Layer::OwnUid) { &MAPPING[..] } else { &[] };
        confine::keep_little(&SUPERVISING, still).map_err(at("privileges"))?;
        usage::make_room();
        self.hide_output().map_err(at("output"))?;
        if let Some(cgroup) = &self.cgroup
            && let Err(error) = cgroup.take(child)
        {
            let why = error.to_string();
            self.cgroup = None;
            self.lacks(Layer::Cgroup, why).inspect_err(|_| self.kill(child))?;
        }
        let _ = rustix::io::write(&down_write, b"g");
        let end = self.watch(child, &up_read, &down_write, listener);
        self.kill(child);
        // Some hosts let nobody write into the directory of groups, which only a capability overrules.
        let _ = confine::wake();
        drop(self.cgroup.take());
        match end {
            Ok(end) => {
                socket::tell(&self.server, &Told::Ended(end), None);
                Ok(())
            }
            Err(failed) => Err(failed),
        }
    }

    /// The ends of the output belong to what runs, so that their readers see the end of it.
    fn hide_output(&self) -> rustix::io::Result<()> {
        let null = null()?;
        rustix::stdio::dup2_stdout(&null)?;
        rustix::stdio::dup2_stderr(&null)
    }

    /// Waits for whatever ends it.
    fn watch(
        &mut self,
        child: Pid,
        up: &OwnedFd,
        down: &OwnedFd,
        listener: Option<OwnedFd>,
    ) -> Result<End, Failed> {
        let over_at = Instant::now() + Duration::from_millis(self.policy.timeout_ms);
        let silence = self.policy.silence_ms.map(Duration::from_millis);
        let mut heard_at = Instant::now();
        let (mut lines, mut listener) = (Vec::new(), listener);
        loop {
            let now = Instant::now();
            if now >= over_at {
                return Ok(End::TimedOut);
            }
            let silent_at = silence.map(|silence| heard_at + silence);
            if silent_at.is_some_and(|at| now >= at) {
                // The server is stopped, or cut off from its own processor: others may take what it was doing for lost.
                return Ok(End::Dropped);
            }
            if self.usage.look_at().is_some_and(|at| now >= at)
                && let Some(limit) = self.over()
            {
                return Ok(End::Over(limit));
            }
            let until = [silent_at, self.usage.look_at()].into_iter().flatten().fold(over_at, Instant::min);
            let wait = until.saturating_duration_since(Instant::now());
            let [server, inside] = readable(&self.server, up, wait).map_err(at("waiting"))?;
            if server {
                // Behind the policy it says only that it is there; nothing is its end.
                if !hears(&self.server) {
                    return Ok(End::Dropped);
                }
                heard_at = Instant::now();
            }
            if !inside {
                continue;
            }
            for said in read_lines(up, &mut lines).map_err(at("waiting"))? {
                match said {
                    Said::MapIds => self.map_ids(child, down)?,
                    Said::Started => {
                        let holders = self.hold.iter().flat_map(|hold| hold.processes.iter().copied());
                        self.usage.begin(holders.chain([child]).collect());
                        let (layers, missing) = (self.layers.clone(), self.missing.clone());
                        let told = Told::Started { layers, missing };
                        socket::tell(&self.server, &told, listener.take().as_ref().map(AsFd::as_fd));
                    }
                    Said::Failed(failed) => return Err(failed),
                    // The kernel's own killing for memory looks like a signal from nowhere.
                    Said::Ended(end) => return Ok(self.over_memory().map_or(end, End::Over)),
                }
            }
        }
    }

    fn map_ids(&self, child: Pid, down: &OwnedFd) -> Result<(), Failed> {
        root::map_ids(child, INNER_ID, self.policy.owner)?;
        confine::keep_little(&SUPERVISING, &[]).map_err(at("privileges"))?;
        rustix::io::write(down, b"g").map_err(at("user namespace")).map(drop)
    }

    fn over(&mut self) -> Option<Limit> {
        self.over_memory().or_else(|| self.usage.over(self.cgroup.is_none()))
    }

    fn over_memory(&self) -> Option<Limit> {
        self.cgroup.as_ref().is_some_and(Cgroup::is_out_of_memory).then_some(Limit::Memory)
    }

    /// Kills all that is left, and returns once it is gone.
    fn kill(&self, child: Pid) {
        if let Some(cgroup) = &self.cgroup {
            cgroup.kill();
        }
        tree::kill(child);
    }
}

pub(super) fn null() -> rustix::io::Result<OwnedFd> {
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
}

/// Waits until one of them can be read, or for so long.
pub(super) fn readable(server: &OwnedFd, inside: &OwnedFd, wait: Duration) -> rustix::io::Result<[bool; 2]> {
    let mut polled = [PollFd::new(server, PollFlags::IN), PollFd::new(inside, PollFlags::IN)];
    let wait = Timespec::try_from(wait).unwrap_or(Timespec { tv_sec: 60, tv_nsec: 0 });
    match poll(&mut polled, Some(&wait)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(polled.each_ref().map(|one| !one.revents().is_empty())),
        Err(error) => Err(error),
    }
}

/// Whether there is something of the server's to be heard.
fn hears(server: &OwnedFd) -> bool {
    let mut words = [0; 64];
    rustix::io::retry_on_intr(|| rustix::io::read(server, &mut words)).is_ok_and(|heard| heard > 0)
}

/// The whole lines that have come from inside; its end without a word is a failure.
fn read_lines(up: &OwnedFd, kept: &mut Vec<u8>) -> rustix::io::Result<Vec<Said>> {
    let mut part = [0; 4096];
    let taken = rustix::io::retry_on_intr(|| rustix::io::read(up, &mut part))?;
    if taken == 0 {
        let why = "the process that starts the command was killed".to_owned();
        return Ok(vec![Said::Failed(Failed { stage: "start".into(), why })]);
    }
    kept.extend_from_slice(&part[..taken]);
    let mut said = Vec::new();
    while let Some(end) = kept.iter().position(|byte| *byte == b'\n') {
        let line: Vec<u8> = kept.drain(..=end).collect();
        said.push(parse(&String::from_utf8_lossy(&line[..end])));
    }
    Ok(said)
}

fn parse(line: &str) -> Said {
    let number = |text: &str| text.parse().unwrap_or_default();
    match line.split_once(' ') {
        None if line == init::MAP_IDS => Said::MapIds,
        None if line == init::STARTED => Said::Started,
        Some((init::EXITED, code)) => Said::Ended(End::Exited(number(code))),
        Some((init::SIGNALED, signal)) => Said::Ended(End::Signaled(number(signal))),
        Some((init::FAILED, text)) => {
            let (stage, why) = text.split_once(": ").unwrap_or(("start", text));
            Said::Failed(Failed { stage: stage.into(), why: why.into() })
        }
        _ => {
            Said::Failed(Failed { stage: "start".into(), why: "the inner process said nothing known".into() })
        }
    }
}
