//! Listing a tree by descriptors: no link is followed, so the tree cannot lead out of itself.
//!
//! Entries come sorted by the bytes of their paths. A directory thus stands twice in its parent's order: as
//! itself (`a`), and as what is below it (`a/`), with `a-b` between the two. What vanishes or changes kind
//! while the walk is under way is passed over.

use std::os::fd::OwnedFd;
use std::vec;

use kode_core::sandbox::{FileError, FileKind, WalkEntry, WalkOptions};
use rustix::fs::{AtFlags, Dir, DirEntry, FileType, OFlags, statat};
use rustix::io;

use super::ignored::Rules;
use super::kind::file_stat;
use super::path::{Route, components};
use super::root::step;
use super::temp::TEMP_PREFIX;
use super::{Files, fault};

/// Deepest directory that is looked into, counted from where the walk begins; one descriptor is held for
/// each.
const DEPTH_MAX: usize = 64;
/// Most names that are read of one directory.
const NAMES_MAX: usize = 100_000;
/// Most names that are read in one walk.
const VISITED_MAX: usize = 1_000_000;
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// One thing to do in a directory.
struct Item {
    name: String,
    /// To go below it, and not to tell of it.
    below: bool,
}

impl Item {
    /// What it is sorted by.
    fn key(&self) -> impl Iterator<Item = u8> + '_ {
        self.name.bytes().chain(self.below.then_some(b'/'))
    }
}

/// A directory that is being walked.
struct Level {
    dir: OwnedFd,
    /// Where it lies below the start: empty, or ending in `/`.
    prefix: String,
    rules: Rules,
    /// 1 where the walk began.
    depth: usize,
    items: vec::IntoIter<Item>,
}

/// The walk so far.
struct Walk {
    /// What the path of an entry begins with when it is told: empty, or ending in `/`.
    told: String,
    /// Where the walk began in truth, beneath the root: empty, or ending in `/`.
    start: String,
    options: WalkOptions,
    limit: usize,
    found: Vec<WalkEntry>,
    visited: usize,
    /// Something was left out because of a bound.
    more: bool,
}

impl Files {
    /// All entries below `path`; true beside them where there were more.
    pub(crate) fn walk(
        &self,
        path: &str,
        options: WalkOptions,
        limit: usize,
    ) -> Result<(Vec<WalkEntry>, bool), FileError> {
        let route = self.route(path)?;
        let failed = |e| fault(path, e);
        let dir = route.root.open(&route.rest, DIRECTORY).map_err(|e| no_directory(path, e))?;
        let place = route.root.locate(&dir).map_err(failed)?;
        let place = String::from_utf8(place).map_err(|_| failed(io::Errno::ILSEQ))?;
        let rules = if options.ignored { Rules::default() } else { rules_above(&route, &place) };
        let start = if place.is_empty() { place } else { place + "/" };
        let told = route.prefix.clone() + &spelled(&route.rest).unwrap_or_else(|| start.clone());

        let mut walk = Walk { told, start, options, limit, found: Vec::new(), visited: 0, more: false };
        let top = walk.level(dir, String::new(), &rules, 1).map_err(failed)?;
        walk.run(top);
        Ok((walk.found, walk.more))
    }
}

/// The start in the caller's own words, so that what is below it can be told from them; `None` with a `..`
/// in it, whose meaning only the kernel knows.
fn spelled(path: &str) -> Option<String> {
    let parts: Vec<&str> = components(path).collect();
    let plain = parts.iter().all(|part| *part != "..");
    plain.then(|| parts.iter().flat_map(|part| [*part, "/"]).collect())
}

fn no_directory(path: &str, errno: io::Errno) -> FileError {
    match errno {
        io::Errno::NOTDIR => FileError::WrongKind {
            path: path.to_owned(),
            found: "a file or below one",
            wanted: "a directory",
        },
        other => fault(path, other),
    }
}

/// The rules that hold above a place: those of the root and of each directory on the way.
fn rules_above(route: &Route<'_>, place: &str) -> Rules {
    let mut rules = Rules::default();
    let starts = place.match_indices('/').map(|(at, _)| at + 1);
    for end in [0].into_iter().chain(starts).filter(|end| *end < place.len()) {
        let prefix = &place[..end];
        if let Ok(dir) = route.root.open_straight(prefix.trim_end_matches('/').as_bytes(), DIRECTORY) {
            rules = rules.within(dir, prefix);
        }
    }
    rules
}

impl Walk {
    /// Goes through everything, or until the limit.
    fn run(&mut self, top: Level) {
        let mut open = vec![top];
        while let Some(level) = open.last_mut() {
            let Some(item) = level.items.next() else {
                open.pop();
                continue;
            };
            if !item.below {
                self.tell(level, &item.name);
            } else if let Some(below) = self.descend(level, &item.name) {
                open.push(below);
            }
            if self.more && self.found.len() >= self.limit {
                return;
            }
        }
    }

    fn tell(&mut self, level: &Level, name: &str) {
        let Ok(stat) = statat(&level.dir, name, AtFlags::SYMLINK_NOFOLLOW) else { return };
        if self.found.len() >= self.limit {
            self.more = true;
            return;
        }
        let path = format!("{}{}{name}", self.told, level.prefix);
        self.found.push(WalkEntry { path, stat: file_stat(&stat) });
    }

    fn descend(&mut self, level: &Level, name: &str) -> Option<Level> {
        if level.depth >= DEPTH_MAX {
            self.more = true;
            return None;
        }
        let dir = step(&level.dir, name.as_bytes(), DIRECTORY).ok()?;
        self.level(dir, format!("{}{name}/", level.prefix), &level.rules, level.depth + 1).ok()
    }

    /// Reads the names of a directory that the options take in, in order.
    fn level(&mut self, dir: OwnedFd, prefix: String, above: &Rules, depth: usize) -> io::Result<Level> {
        let rules = if self.options.ignored {
            Rules::default()
        } else {
            above.within(&dir, &(self.start.clone() + &prefix))
        };
        let mut items = Vec::new();
        for (count, entry) in Dir::read_from(&dir)?.enumerate() {
            if count >= NAMES_MAX || self.visited >= VISITED_MAX {
                self.more = true;
                break;
            }
            self.visited += 1;
            self.take(&dir, &prefix, &rules, &entry?, &mut items);
        }
        items.sort_unstable_by(|a, b| a.key().cmp(b.key()));
        Ok(Level { dir, prefix, rules, depth, items: items.into_iter() })
    }

    /// A name that is not UTF-8 could not be said in a path and is left out.
    fn take(&self, dir: &OwnedFd, prefix: &str, rules: &Rules, entry: &DirEntry, items: &mut Vec<Item>) {
        let Ok(name) = entry.file_name().to_str() else { return };
        let hidden = name.starts_with('.') && !self.options.hidden;
        if name == "." || name == ".." || hidden || name.as_bytes().starts_with(TEMP_PREFIX) {
            return;
        }
        let directory = is_directory(dir, entry);
        if rules.ignore(&format!("{}{prefix}{name}", self.start), directory) {
            return;
        }
        items.push(Item { name: name.to_owned(), below: false });
        if directory {
            items.push(Item { name: name.to_owned(), below: true });
        }
    }
}

/// Some file systems do not say the kind in the directory itself.
fn is_directory(dir: &OwnedFd, entry: &DirEntry) -> bool {
    match entry.file_type() {
        FileType::Unknown => statat(dir, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| file_stat(&stat).kind == FileKind::Directory),
        known => known == FileType::Directory,
    }
}
