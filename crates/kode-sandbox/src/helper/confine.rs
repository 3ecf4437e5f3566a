//! What a process puts on itself: no privileges, limits, and the paths that Landlock leaves to it.

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope,
};
use rustix::process::{Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::root::Place;
use super::{Failed, at};
use crate::policy::Bounds;

/// Directories that a program needs to run.
const PROGRAMS: [&str; 9] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"];
/// What of `/etc` and `/dev` is left without a root of its own.
const READ: [&str; 9] = [
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/passwd",
    "/etc/group",
    "/etc/nsswitch.conf",
    "/etc/ssl/certs",
    "/proc/self",
    "/dev/urandom",
];
const DEVICES: [&str; 3] = ["/dev/null", "/dev/zero", "/dev/full"];
/// The least version that confines truncation, ioctl and so on; older kernels are not confined by it.
const LEAST: ABI = ABI::V1;
const NEWEST: ABI = ABI::V6;

/// No capability, now and over exec, and no way to get one.
pub(super) fn drop_privileges() -> rustix::io::Result<()> {
    for capability in CapabilitySet::all().iter() {
        // Without the right to take one away there is none that could come back.
        let _ = rustix::thread::remove_capability_from_bounding_set(capability);
    }
    let _ = rustix::thread::clear_ambient_capability_set();
    let none = CapabilitySet::empty();
    rustix::thread::set_capabilities(
        None,
        CapabilitySets { effective: none, permitted: none, inheritable: none },
    )?;
    rustix::thread::set_no_new_privs(true)
}

/// For the end only: to remove a directory whose own mode says that nobody may.
const ASLEEP: CapabilitySet = CapabilitySet::DAC_OVERRIDE;

/// Of the capabilities that there are, only these; and no program brings more. One sleeps until [`wake`].
pub(super) fn keep_little(ever: &[CapabilitySet], still: &[CapabilitySet]) -> rustix::io::Result<()> {
    let wanted: CapabilitySet = ever.iter().chain(still).copied().collect();
    let had = rustix::thread::capabilities(None)?.permitted;
    let (effective, permitted) = (had & wanted, had & (wanted | ASLEEP));
    let inheritable = CapabilitySet::empty();
    rustix::thread::set_capabilities(None, CapabilitySets { effective, permitted, inheritable })?;
    rustix::thread::set_no_new_privs(true)
}

/// Makes use of everything that was kept. For when nothing runs any more.
pub(super) fn wake() -> rustix::io::Result<()> {
    let kept = rustix::thread::capabilities(None)?;
    rustix::thread::set_capabilities(None, CapabilitySets { effective: kept.permitted, ..kept })
}

/// Limits of each process. `AS` is left alone: programs reserve far more than they use.
pub(super) fn limit(bounds: &Bounds) -> rustix::io::Result<()> {
    let limits = [
        (Resource::Core, 0),
        (Resource::Data, bounds.memory),
        (Resource::Fsize, bounds.disk),
        (Resource::Nofile, bounds.files),
        (Resource::Nproc, bounds.processes),
        (Resource::Memlock, 64 << 20),
        (Resource::Msgqueue, 1 << 20),
        (Resource::Sigpending, 4_096),
        (Resource::Rtprio, 0),
        (Resource::Nice, 0),
    ];
    for (resource, most) in limits {
        let now = rustix::process::getrlimit(resource);
        let most = now.maximum.map_or(most, |hard| hard.min(most));
        rustix::process::setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}

/// Leaves the programs for reading and the work directory for everything, and no other path.
pub(super) fn landlock(place: &Place, own_root: bool) -> Result<(), Failed> {
    let failed = at("landlock");
    let all = AccessFs::from_all(NEWEST);
    let read = AccessFs::from_read(NEWEST);
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(LEAST))
        .map_err(at("landlock"))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)
        .map_err(at("landlock"))?
        .scope(Scope::Signal)
        .map_err(at("landlock"))?
        .scope(Scope::AbstractUnixSocket)
        .map_err(at("landlock"))?;
    if !own_root {
        // Without a network namespace, TCP is refused here too.
        ruleset = ruleset.handle_access(AccessNet::from_all(NEWEST)).map_err(at("landlock"))?;
    }
    let mut created = ruleset.create().map_err(at("landlock"))?;
    let mut rules: Vec<(&str, _, bool)> = Vec::new();
    if own_root {
        rules.push(("/", read, true));
        rules.extend(["/dev", "/tmp", "/run", "/dev/shm"].map(|path| (path, all, true)));
    } else {
        rules.extend(PROGRAMS.map(|path| (path, read, false)));
        rules.extend(READ.map(|path| (path, read, false)));
        rules.extend(DEVICES.map(|path| (path, all, true)));
    }
    rules.push((&place.home, all, true));
    rules.extend(place.allow.iter().map(|path| (path.as_str(), all, true)));
    for (path, access, needed) in rules {
        match PathFd::new(path) {
            Ok(fd) => created = created.add_rule(PathBeneath::new(fd, access)).map_err(at("landlock"))?,
            Err(error) if needed => return Err(failed_path(path, &error)),
            Err(_) => {}
        }
    }
    let status = created.restrict_self().map_err(at("landlock"))?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err(failed("this kernel does not enforce it")),
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
    }
}

/// Lets this process and what comes from it signal nobody but each other.
pub(super) fn fence() -> Result<(), Failed> {
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let ruleset = ruleset.scope(Scope::Signal).and_then(Ruleset::create).map_err(at("landlock"))?;
    ruleset.restrict_self().map(drop).map_err(at("landlock"))
}

fn failed_path(path: &str, error: &landlock::PathFdError) -> Failed {
    at("landlock")(format!("{path}: {error}"))
}
