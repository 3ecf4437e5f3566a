//! The text of a path: whether it is usable, and beneath which root it is to be opened.
//!
//! Nothing here decides whether a path stays inside: the kernel does, when it is opened.

use kode_core::sandbox::FileError;

use super::{Files, Root};

/// Longest path, in bytes: the kernel's limit less the closing NUL.
const PATH_MAX: usize = 4_095;
/// Longest name between two slashes, in bytes.
const NAME_MAX: usize = 255;

/// A directory outside the work directory that file tools may reach.
pub(crate) struct Allowed {
    /// As it was configured, without a slash at the end.
    name: String,
    root: Root,
}

impl Allowed {
    pub(crate) fn new(name: &str, root: Root) -> Self {
        Self { name: name.trim_end_matches('/').to_owned(), root }
    }

    pub(crate) fn root(&self) -> &Root {
        &self.root
    }

    /// What is left of `path` below this directory, by whole components; `None` where it is elsewhere.
    fn rest(&self, path: &str) -> Option<String> {
        let mut parts = components(path);
        for wanted in components(&self.name) {
            if parts.next()? != wanted {
                return None;
            }
        }
        let rest: Vec<&str> = parts.collect();
        Some(if rest.is_empty() { ".".into() } else { rest.join("/") })
    }
}

/// Where a path is to be opened.
pub(crate) struct Route<'a> {
    pub(crate) root: &'a Root,
    /// Relative to the root.
    pub(crate) rest: String,
    /// What a path below the root is prefixed with when it is told: empty, or an allowed directory and `/`.
    pub(crate) prefix: String,
}

impl Files {
    /// Chooses the root for a path of the agent's.
    pub(crate) fn route(&self, path: &str) -> Result<Route<'_>, FileError> {
        usable(path)?;
        if !path.starts_with('/') && path != "~" && !path.starts_with("~/") {
            return Ok(Route { root: self.work.root()?, rest: path.to_owned(), prefix: String::new() });
        }
        // The widest of those that match, so that `..` works as far as it may.
        self.allowed
            .iter()
            .filter_map(|allowed| allowed.rest(path).map(|rest| (allowed, rest)))
            .min_by_key(|(allowed, _)| allowed.name.len())
            .map(|(allowed, rest)| Route { root: &allowed.root, rest, prefix: format!("{}/", allowed.name) })
            .ok_or_else(|| FileError::Outside(path.to_owned()))
    }
}

/// The parts of a path that mean a step: neither empty nor `.`.
pub(crate) fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".")
}

fn usable(path: &str) -> Result<(), FileError> {
    let why = if path.is_empty() {
        "it is empty"
    } else if path.contains('\0') {
        "it has a NUL in it"
    } else if path.len() > PATH_MAX {
        "it is longer than 4095 bytes"
    } else if path.split('/').any(|name| name.len() > NAME_MAX) {
        "a name in it is longer than 255 bytes"
    } else {
        return Ok(());
    };
    Err(FileError::BadPath { path: shortened(path), why: why.into() })
}

/// An error repeats a path; one of a megabyte would be of no use in it.
fn shortened(path: &str) -> String {
    const SHOWN: usize = 200;
    if path.chars().count() <= SHOWN {
        return path.to_owned();
    }
    path.chars().take(SHOWN).chain(['…']).collect()
}
