//! Which entries a walk passes over because a `.gitignore` names them.
//!
//! The files are read through the descriptors of the walk, and a link is not followed, as in git. Nothing
//! of git's configuration outside the walked tree counts.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::sync::Arc;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use rustix::fs::{FileType, OFlags, fstat};

use super::root::step;

/// Longest `.gitignore` that counts, in bytes; of a longer one the beginning does.
const RULES_MAX: u64 = 256 * 1024;

/// The rules of a directory and of those above it.
#[derive(Clone, Default)]
pub(crate) struct Rules(Option<Arc<Own>>);

/// One file's rules.
struct Own {
    /// How much of a path lies above the directory of these rules, in bytes.
    base: usize,
    rules: Gitignore,
    above: Rules,
}

impl Rules {
    /// The same with those of `dir`, whose entries' paths begin with `prefix` (empty, or ending in `/`).
    pub(crate) fn within(&self, dir: impl AsFd, prefix: &str) -> Self {
        match read(dir).map(|text| parse(&text)) {
            Some(rules) if !rules.is_empty() => {
                Self(Some(Arc::new(Own { base: prefix.len(), rules, above: self.clone() })))
            }
            Some(_) | None => self.clone(),
        }
    }

    /// Whether the path is to be passed over. The nearest file that says anything decides.
    pub(crate) fn ignore(&self, path: &str, directory: bool) -> bool {
        let mut rules = self;
        while let Some(own) = &rules.0 {
            match own.rules.matched(&path[own.base..], directory) {
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
                Match::None => rules = &own.above,
            }
        }
        false
    }
}

/// A line or a set of lines that cannot be understood counts as empty, as in git.
fn parse(text: &str) -> Gitignore {
    let mut builder = GitignoreBuilder::new("");
    for line in text.lines() {
        drop(builder.add_line(None, line));
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}

fn read(dir: impl AsFd) -> Option<String> {
    let fd = step(dir, b".gitignore", OFlags::RDONLY | OFlags::NONBLOCK).ok()?;
    let kind = FileType::from_raw_mode(fstat(&fd).ok()?.st_mode);
    if kind != FileType::RegularFile {
        return None;
    }
    let mut bytes = Vec::new();
    File::from(fd).take(RULES_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
