//! What cargo knows about the workspace, reduced to what the checks ask for.

use anyhow::Context as _;
use serde::Deserialize;

use crate::context::Context;

/// The answer of `cargo metadata`.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
}

/// One package: a member of the workspace or something that it depends on.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    /// An SPDX expression.
    pub(crate) license: Option<String>,
    /// None for a path within the workspace.
    pub(crate) source: Option<String>,
    pub(crate) dependencies: Vec<Dependency>,
}

/// One line of a manifest.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// None (normal), `dev` or `build`.
    kind: Option<String>,
}

impl Metadata {
    /// Asks cargo; under CI's rules the lock file must already say everything.
    pub(crate) fn load(context: &Context) -> anyhow::Result<Self> {
        let locked: &[&str] = if context.ci { &["--locked"] } else { &[] };
        let args = [&["metadata", "--quiet", "--format-version", "1"], locked].concat();
        Self::parse(&context.read_cargo(&args)?)
    }

    /// Takes cargo's JSON.
    pub(crate) fn parse(json: &str) -> anyhow::Result<Self> {
        serde_json::from_str(json).context("failed to read the output of cargo metadata")
    }

    /// The workspace's own packages.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }

    /// Everything else, for every platform.
    pub(crate) fn foreign(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| !self.workspace_members.contains(&package.id))
    }
}

impl Package {
    /// What a user of this package compiles: all but dev-dependencies.
    pub(crate) fn shipped_dependencies(&self) -> impl Iterator<Item = &Dependency> {
        self.dependencies.iter().filter(|dependency| dependency.kind.as_deref() != Some("dev"))
    }
}
