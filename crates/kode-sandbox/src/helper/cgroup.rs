//! A cgroup of its own for one process tree: the kernel then bounds its memory and its number of processes.
//!
//! Version 2 where the helper may make groups below or beside its own, version 1 where that is what there is. A server
//! that is not root gets one only if its group was given to it (`Delegate=yes` in systemd).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Pid;

use crate::policy::Bounds;

/// What a group's name begins with; the helper's number follows.
const NAME: &str = "kode-";

/// One tree's group, in each hierarchy that has a part of it.
pub(super) struct Cgroup {
    memory: PathBuf,
    pids: PathBuf,
    version: Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Cgroup {
    /// Makes one below the helper's own, or beside it.
    pub(super) fn make(bounds: &Bounds) -> Result<Self, String> {
        let (memory, pids, version) = parents()?;
        let name = format!("{NAME}{}", rustix::process::getpid().as_raw_nonzero());
        let made = Self { memory: memory.join(&name), pids: pids.join(&name), version };
        made.prepare(bounds).map_err(|e| format!("no group can be made: {}", e.kind()))?;
        Ok(made)
    }

    /// Removes the groups of helpers that are no more: one that was killed itself could not. A group with processes in
    /// it stays, by the kernel's word.
    pub(super) fn sweep() {
        let Ok((memory, pids, _)) = parents() else { return };
        for parent in BTreeSet::from([memory, pids]) {
            for group in fs::read_dir(parent).into_iter().flatten().flatten() {
                let name = group.file_name();
                let helper = name.to_str().and_then(|name| name.strip_prefix(NAME));
                if helper.is_some_and(|helper| !Path::new("/proc").join(helper).exists()) {
                    let _ = fs::remove_dir(group.path());
                }
            }
        }
    }

    fn prepare(&self, bounds: &Bounds) -> std::io::Result<()> {
        for dir in self.dirs() {
            // One that a helper of the same number left behind, as it was killed itself, is empty by now.
            let _ = fs::remove_dir(dir);
            fs::create_dir(dir)?;
        }
        fs::write(self.pids.join("pids.max"), bounds.processes.to_string())?;
        let memory = bounds.memory.to_string();
        match self.version {
            Version::One => fs::write(self.memory.join("memory.limit_in_bytes"), memory),
            Version::Two => {
                fs::write(self.memory.join("memory.max"), memory)?;
                // Without swap there is nothing to write here, and one victim is enough where groups are unknown.
                let _ = fs::write(self.memory.join("memory.swap.max"), "0");
                let _ = fs::write(self.memory.join("memory.oom.group"), "1");
                Ok(())
            }
        }
    }

    /// The group's directories: one, or two where memory and processes are counted apart.
    fn dirs(&self) -> Vec<&Path> {
        match self.version {
            Version::Two => vec![&self.memory],
            Version::One if self.memory == self.pids => vec![&self.memory],
            Version::One => vec![&self.memory, &self.pids],
        }
    }

    /// Puts a process into it, before that makes others.
    pub(super) fn take(&self, process: Pid) -> std::io::Result<()> {
        let id = process.as_raw_nonzero().to_string();
        self.dirs().into_iter().try_for_each(|dir| fs::write(dir.join("cgroup.procs"), &id))
    }

    /// Whether the kernel killed something in it for its memory.
    pub(super) fn is_out_of_memory(&self) -> bool {
        let file = match self.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        let text = fs::read_to_string(self.memory.join(file)).unwrap_or_default();
        text.lines().any(|line| line.strip_prefix("oom_kill ").is_some_and(|n| n.trim() != "0"))
    }

    /// Kills everything in it at once, where the kernel can.
    pub(super) fn kill(&self) {
        let _ = fs::write(self.memory.join("cgroup.kill"), "1");
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for dir in self.dirs() {
            let _ = fs::remove_dir(dir);
        }
    }
}

/// Below which directories groups are made, for memory and for processes.
fn parents() -> Result<(PathBuf, PathBuf, Version), String> {
    let own = fs::read_to_string("/proc/self/cgroup").map_err(|e| e.to_string())?;
    let mounts = fs::read_to_string("/proc/self/mounts").map_err(|e| e.to_string())?;
    if let Some(dir) = place(&own, &mounts, None).and_then(|dir| under(dir, is_given)) {
        return Ok((dir.clone(), dir, Version::Two));
    }
    let find = |controller| {
        place(&own, &mounts, Some(controller))
            .ok_or_else(|| format!("the {controller} controller is not given to this server"))
    };
    Ok((find("memory")?, find("pids")?, Version::One))
}

/// Where the directory of this process's own group is.
fn place(own: &str, mounts: &str, controller: Option<&str>) -> Option<PathBuf> {
    let path = own.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let fits = match controller {
            None => controllers.is_empty(),
            Some(wanted) => controllers.split(',').any(|name| name == wanted),
        };
        fits.then_some(path)
    })?;
    let mount = mounts.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        let [_, at, kind, options, ..] = fields.as_slice() else { return None };
        let fits = match controller {
            None => *kind == "cgroup2",
            Some(wanted) => *kind == "cgroup" && options.split(',').any(|option| option == wanted),
        };
        fits.then_some(*at)
    })?;
    let dir = Path::new(mount).join(path.trim_start_matches('/'));
    // In a container the path is told from outside and the mount begins at the container's own group.
    Some(if dir.is_dir() { dir } else { PathBuf::from(mount) })
}

/// The group of version 2 under which new ones can be: this one, or the one above it if that was given to the server.
/// A group that hands controllers on may hold no process itself, so a service manager puts the server into a group
/// below the given one (`DelegateSubgroup=` in systemd) and leaves it to the server to hand them on.
fn under(own: PathBuf, is_given: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    if has_controllers(&own) {
        return Some(own);
    }
    let above = own.parent().filter(|dir| is_given(dir))?;
    if !has_controllers(above) {
        fs::write(above.join("cgroup.subtree_control"), "+memory +pids").ok()?;
    }
    has_controllers(above).then(|| above.to_owned())
}

/// Whether systemd has marked a group as somebody else's to arrange. Without this, a server of root's would put groups
/// among those of other services.
fn is_given(dir: &Path) -> bool {
    let mut value = [0; 8];
    rustix::fs::getxattr(dir, "user.delegate", &mut value).is_ok_and(|length| value[..length] == *b"1")
}

/// Whether groups below this one are counted for both memory and processes.
fn has_controllers(dir: &Path) -> bool {
    let text = fs::read_to_string(dir.join("cgroup.subtree_control")).unwrap_or_default();
    ["memory", "pids"].iter().all(|wanted| text.split_whitespace().any(|name| name == *wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str =
        "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\ncgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0\n";

    #[test]
    fn a_group_is_found_by_its_controller() {
        let own = "8:pids:/\n4:cpu,cpuacct:/a\n0::/b/c\n";
        assert_eq!(place(own, MOUNTS, Some("pids")), Some("/sys/fs/cgroup/pids".into()));
        assert_eq!(place(own, MOUNTS, None), Some("/sys/fs/cgroup".into()));
        assert_eq!(place(own, MOUNTS, Some("memory")), None);
        assert_eq!(place("", MOUNTS, None), None);
    }
    #[test]
    fn groups_are_made_beside_the_servers_only_in_a_group_that_was_given_to_it() {
        let given = tempfile::tempdir().unwrap();
        let own = given.path().join("server");
        fs::create_dir(&own).unwrap();
        fs::write(own.join("cgroup.subtree_control"), "").unwrap();
        fs::write(given.path().join("cgroup.subtree_control"), "cpu memory pids").unwrap();
        assert_eq!(under(own.clone(), |dir| dir == given.path()), Some(given.path().to_owned()));
        assert_eq!(under(own.clone(), |_| false), None);
        fs::write(own.join("cgroup.subtree_control"), "memory pids").unwrap();
        assert_eq!(under(own.clone(), |_| true), Some(own));
    }
}
