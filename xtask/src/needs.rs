//! What the tests need from the machine: a table of programs, found or installed.
//!
//! A new need is a row here and one call of [`Need::ensure`] where it is used. What is missing and cannot be
//! installed is skipped with a printed reason; under CI's rules it is a failure, unless something stands in.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use anyhow::{Context as _, bail, ensure};

use crate::context::{Context, run, succeeds};
use crate::servers;

/// One thing that must be on the machine.
pub(crate) struct Need {
    pub(crate) name: &'static str,
    /// A command that succeeds when the thing is there.
    probe: &'static [&'static str],
    source: Source,
    /// What is lost without it.
    used_by: &'static str,
    /// What stands in for it, if anything does.
    stand_in: Option<&'static str>,
}

/// Where a need is had from.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// A Debian package; installing needs root.
    Debian(&'static str),
    /// The same of a server, which tests start by themselves (`kode_testkit::servers`); nothing else does.
    DebianServer(&'static str),
    /// A crate with a binary.
    Cargo(&'static str),
    /// What `pip install` is told, in the virtual environment [`VENV`].
    Python(&'static [&'static str]),
    /// What a directory's `package-lock.json` pins, in [`NPM`].
    Npm(&'static str),
}

/// The virtual environment of the Python clients, from the workspace root.
pub(crate) const VENV: &str = "target/clients-venv";
/// Where the packages of the JavaScript clients are, from the workspace root.
const NPM: &str = "target/clients-npm";
/// Where they are made: only a whole set takes the place.
const NPM_NEW: &str = "target/clients-npm.new";

pub(crate) const NEXTEST: Need = Need {
    name: "cargo-nextest",
    probe: &["cargo", "nextest", "--version"],
    source: Source::Cargo("cargo-nextest"),
    used_by: "the tests",
    stand_in: Some("cargo test"),
};

pub(crate) const MUTANTS: Need = Need {
    name: "cargo-mutants",
    probe: &["cargo", "mutants", "--version"],
    source: Source::Cargo("cargo-mutants"),
    used_by: "mutation testing",
    stand_in: None,
};

pub(crate) const CURL: Need = Need {
    name: "curl",
    probe: &["curl", "--version"],
    source: Source::Debian("curl"),
    used_by: "the check of the README's commands",
    stand_in: None,
};

pub(crate) const EXT4: Need = Need {
    name: "mkfs.ext4",
    probe: &["mkfs.ext4", "-V"],
    source: Source::Debian("e2fsprogs"),
    used_by: "the power cuts of an ext4",
    stand_in: Some("the simulated disk alone"),
};

pub(crate) const PERL: Need = Need {
    name: "perl",
    probe: &["perl", "-e", "1"],
    source: Source::Debian("perl-base"),
    used_by: "the power cuts of an ext4",
    stand_in: Some("the simulated disk alone"),
};

pub(crate) const BUBBLEWRAP: Need = Need {
    name: "bubblewrap",
    probe: &["/usr/bin/bwrap", "--version"],
    source: Source::Debian("bubblewrap"),
    used_by: "the tests of the sandbox where bubblewrap makes the namespaces",
    stand_in: None,
};

pub(crate) const REDIS: Need = Need {
    name: "redis-server",
    probe: &["redis-server", "--version"],
    source: Source::DebianServer("redis-server"),
    used_by: "the tests of the redis store",
    stand_in: None,
};

pub(crate) const POSTGRES: Need = Need {
    name: "PostgreSQL",
    probe: &["sh", "-c", "ls /usr/lib/postgresql/*/bin/postgres"],
    source: Source::DebianServer("postgresql"),
    used_by: "the tests of the PostgreSQL store",
    stand_in: None,
};

pub(crate) const PGBOUNCER: Need = Need {
    name: "PgBouncer",
    probe: &["ls", "/usr/sbin/pgbouncer"],
    source: Source::DebianServer("pgbouncer"),
    used_by: "the test of the PostgreSQL store behind a proxy",
    stand_in: None,
};

pub(crate) const NGINX: Need = Need {
    name: "nginx",
    probe: &["nginx", "-v"],
    source: Source::DebianServer("nginx-light"),
    used_by: "the test of the nginx recipe before three nodes",
    stand_in: None,
};

pub(crate) const HAPROXY: Need = Need {
    name: "HAProxy",
    probe: &["haproxy", "-v"],
    source: Source::DebianServer("haproxy"),
    used_by: "the test of the HAProxy recipe before three nodes",
    stand_in: None,
};

pub(crate) const PYTHON: Need = Need {
    name: "python3 with venv",
    probe: &["python3", "-c", "import venv, ensurepip"],
    source: Source::Debian("python3-venv"),
    used_by: "the checks against public clients",
    stand_in: None,
};

pub(crate) const CLIENTS: Need = Need {
    name: "the public Python clients",
    probe: &["target/clients-venv/bin/python", "-c", "import openai, zai"],
    source: Source::Python(&["openai", "zai-sdk"]),
    used_by: "the check against the public clients",
    stand_in: None,
};

pub(crate) const NODE: Need = Need {
    name: "node",
    probe: &["node", "--version"],
    source: Source::Debian("nodejs"),
    used_by: STREAMS,
    stand_in: None,
};

pub(crate) const NPM_ITSELF: Need = Need {
    name: "npm",
    probe: &["npm", "--version"],
    source: Source::Debian("npm"),
    used_by: STREAMS,
    stand_in: None,
};

pub(crate) const CHROMIUM: Need = Need {
    name: "chromium",
    probe: &["sh", "-c", "command -v chromium"],
    source: Source::Debian("chromium"),
    used_by: STREAMS,
    stand_in: None,
};

pub(crate) const NPM_CLIENTS: Need = Need {
    name: "the JavaScript clients of examples/clients",
    probe: &["cmp", "-s", "examples/clients/package-lock.json", "target/clients-npm/package-lock.json"],
    source: Source::Npm("examples/clients"),
    used_by: STREAMS,
    stand_in: None,
};

pub(crate) const PYTHON_CLIENTS: Need = Need {
    name: "the Python client of examples/clients",
    probe: &["target/clients-venv/bin/python", "-c", PINNED],
    source: Source::Python(&["-r", "examples/clients/requirements.txt"]),
    used_by: STREAMS,
    stand_in: None,
};

/// What the clients of event streams are for.
const STREAMS: &str = "the test of streams with independent clients";
/// Fails where a package of the file is not there in the version that it names.
const PINNED: &str = "
import importlib.metadata, sys
pins = (line.strip().split('==') for line in open('examples/clients/requirements.txt'))
sys.exit(any(importlib.metadata.version(name) != version for name, version in pins))";

impl Need {
    /// Whether the thing is there, after installing it where that can be done.
    ///
    /// # Errors
    /// Under CI's rules, when it is missing and nothing stands in.
    pub(crate) fn ensure(&self, context: &Context) -> anyhow::Result<bool> {
        if self.is_there(context) {
            return Ok(true);
        }
        println!("not found, installing: {}", self.name);
        match self.install(context) {
            Ok(()) => Ok(true),
            Err(why) => self.do_without(context.ci, &why).map(|()| false),
        }
    }

    fn is_there(&self, context: &Context) -> bool {
        let (program, args) = self.probe.split_first().expect("a probe names a program");
        succeeds(&mut context.command(program, args))
    }

    fn install(&self, context: &Context) -> anyhow::Result<()> {
        match self.source {
            Source::Debian(package) => install_debian(context, package)?,
            Source::DebianServer(package) => {
                servers::without_starting(|| install_debian(context, package))?;
            }
            Source::Cargo(name) => context.run_cargo(&["install", name, "--locked"])?,
            Source::Python(packages) => install_python(context, packages)?,
            Source::Npm(manifest) => install_npm(context, manifest)?,
        }
        ensure!(self.is_there(context), "it was installed and still does not run");
        Ok(())
    }

    /// Says what is lost; refuses to lose anything under CI's rules.
    fn do_without(&self, ci: bool, why: &anyhow::Error) -> anyhow::Result<()> {
        let Self { name, used_by, .. } = self;
        match self.stand_in {
            Some(stand_in) => println!("notice: no {name} for {used_by} ({why:#}), using {stand_in}"),
            None if ci => bail!("{used_by} needs {name}, and CI skips nothing: {why:#}"),
            None => println!("SKIPPED: {used_by} needs {name}: {why:#}"),
        }
        Ok(())
    }
}

fn install_debian(context: &Context, package: &str) -> anyhow::Result<()> {
    ensure!(is_root(), "installing the Debian package {package} needs root");
    let apt = |args: &[&str]| {
        let mut command = context.command("apt-get", args);
        run(command.env("DEBIAN_FRONTEND", "noninteractive"))
    };
    let install = ["install", "-y", "--no-install-recommends", package];
    // A fresh machine has no package list, or an old one.
    apt(&install).or_else(|_| apt(&["update"]).and_then(|()| apt(&install)))
}

fn install_python(context: &Context, packages: &[&str]) -> anyhow::Result<()> {
    run(&mut context.command("python3", &["-m", "venv", VENV]))?;
    let args = [&["-m", "pip", "install", "--quiet"], packages].concat();
    run(&mut context.command(&format!("{VENV}/bin/python"), &args))
}

fn install_npm(context: &Context, manifest: &str) -> anyhow::Result<()> {
    let path = |path: &str| context.root.join(path);
    // What is not there is as good as removed.
    let _ = fs::remove_dir_all(path(NPM_NEW));
    fs::create_dir_all(path(NPM_NEW)).with_context(|| format!("failed to make {NPM_NEW}"))?;
    for file in ["package.json", "package-lock.json"] {
        let from = path(manifest).join(file);
        fs::copy(&from, path(NPM_NEW).join(file))
            .with_context(|| format!("failed to copy {}", from.display()))?;
    }
    // No package's own commands are run, and none of them needs that.
    let quietly = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    run(&mut context.command("npm", &[&["ci", "--prefix", NPM_NEW], &quietly[..]].concat()))?;
    let _ = fs::remove_dir_all(path(NPM));
    fs::rename(path(NPM_NEW), path(NPM)).with_context(|| format!("failed to make {NPM}"))
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(need: &Need, ci: bool) -> Result<(), String> {
        need.do_without(ci, &anyhow::anyhow!("no network")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_missing_need_is_a_skip_for_a_person_and_a_failure_in_ci() {
        assert_eq!(without(&CURL, false), Ok(()));
        let refused = "the check of the README's commands needs curl, and CI skips nothing: no network";
        assert_eq!(without(&CURL, true), Err(refused.to_owned()));
    }

    #[test]
    fn a_need_with_a_stand_in_never_fails() {
        assert_eq!((without(&NEXTEST, false), without(&NEXTEST, true)), (Ok(()), Ok(())));
    }

    #[test]
    fn the_probe_decides_whether_it_is_there() {
        let context = Context { root: "/".into(), ci: false };
        assert!(!Need { probe: &["false"], ..CURL }.is_there(&context));
        assert!(Need { probe: &["true"], ..CURL }.is_there(&context));
    }

    #[test]
    fn the_probes_of_clients_look_where_they_are_installed() {
        assert!(CLIENTS.probe[0].starts_with(VENV) && PYTHON_CLIENTS.probe[0].starts_with(VENV));
        assert!(NPM_CLIENTS.probe[3].starts_with(NPM));
    }
}
