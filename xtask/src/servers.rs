//! Servers that tests start by themselves: installed here, and never started by the system.
//!
//! A server's package starts it where it can. What forbids that is the policy that Debian's packages ask first; one
//! that is there already stands, and one of ours goes when the installing is done.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Whom Debian's packages ask whether a daemon may be started.
const POLICY: &str = "/usr/sbin/policy-rc.d";
/// Where Debian's PostgreSQL reads whether to make a cluster when it is installed. Tests make their own.
const CLUSTERS: &str = "/etc/postgresql-common/createcluster.conf";
const NO_CLUSTER: &str = "create_main_cluster = false\n";
/// "Forbidden by policy", to everyone.
const FORBID: &str = "#!/bin/sh\nexit 101\n";

/// Installs something whose daemons are not started.
///
/// # Errors
/// Its own, and that the policy cannot be written.
pub(crate) fn without_starting<T>(install: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let _policy = Policy::set(Path::new(POLICY))?;
    if !Path::new(CLUSTERS).exists() {
        let told =
            fs::create_dir_all("/etc/postgresql-common").and_then(|()| fs::write(CLUSTERS, NO_CLUSTER));
        told.with_context(|| format!("failed to write {CLUSTERS}"))?;
    }
    install()
}

/// A policy that goes with this value; none where there was one.
struct Policy(Option<PathBuf>);

impl Policy {
    fn set(path: &Path) -> anyhow::Result<Self> {
        let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(path);
        match made {
            Ok(file) => {
                let policy = Self(Some(path.to_owned()));
                std::io::Write::write_all(&mut &file, FORBID.as_bytes())?;
                Ok(policy)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Self(None)),
            Err(error) => {
                Err(error).with_context(|| format!("failed to forbid the starting of daemons in {POLICY}"))
            }
        }
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // It forbids more than it should if it stays, and there is no one to tell.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_of_ours_goes_and_one_that_was_there_stays() {
        let path = std::env::temp_dir().join(format!("policy-{}", std::process::id()));
        let policy = Policy::set(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), FORBID);
        let second = Policy::set(&path).unwrap();
        drop(second);
        assert!(path.exists());
        drop(policy);
        assert!(!path.exists());
    }
}
