//! Files in memory: a [`Workspace`] and its factory for tests of tools and agents.
//!
//! It keeps the port's contract in what a tool can see of it: paths stay inside, writes make directories, a
//! file that something else changed is not overwritten, walks are sorted and bounded. It has no links and
//! reads no `.gitignore`; say [`MemoryWorkspace::ignoring`] instead. Never files of the host.

mod sandbox;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use kode_core::sandbox::{
    FileError, FileKind, FileStat, ProcessError, Processes, SandboxReport, WalkEntry, WalkOptions, Workspace,
};

pub use self::sandbox::MemorySandbox;
use crate::processes::ScriptedProcesses;

/// One file: its bytes, and a number that rises with every change of any file.
#[derive(Debug, Clone)]
struct File {
    content: Vec<u8>,
    version: u64,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, File>,
    /// The version of each file that was last read or written through the workspace.
    seen: BTreeMap<String, u64>,
    ignored: Vec<String>,
    protected: Vec<String>,
    failing: BTreeMap<String, FileError>,
    versions: u64,
}

impl State {
    fn put(&mut self, place: String, content: Vec<u8>) -> u64 {
        self.versions += 1;
        self.files.insert(place, File { content, version: self.versions });
        self.versions
    }

    fn is_directory(&self, place: &str) -> bool {
        place.is_empty() || self.files.keys().any(|file| below(file, place).is_some())
    }

    fn stat(&self, path: &str, place: &str) -> Result<FileStat, FileError> {
        match self.files.get(place) {
            Some(file) => {
                let size = file.content.len() as u64;
                Ok(FileStat { kind: FileKind::File, size, modified: file.version })
            }
            None if self.is_directory(place) => Ok(directory()),
            None => Err(FileError::NotFound(path.to_owned())),
        }
    }

    /// Why `place` cannot be written, if so.
    fn refusal(&self, path: &str, place: &str) -> Option<FileError> {
        let owned = || path.to_owned();
        if let Some(error) = self.failing.get(place) {
            return Some(error.clone());
        }
        if self.protected.iter().any(|name| within(place, name)) {
            return Some(FileError::Protected(owned()));
        }
        if self.is_directory(place) {
            return Some(wrong_kind(path, "a directory", "a regular file"));
        }
        if ancestors(place).any(|above| self.files.contains_key(above)) {
            return Some(wrong_kind(path, "below a file", "in a directory"));
        }
        let now = self.files.get(place).map(|file| file.version);
        let seen = self.seen.get(place).copied();
        (seen.is_some() && now.is_some() && seen != now).then(|| FileError::Changed(owned()))
    }

    /// Whether a walk from `start` takes the place in.
    fn takes(&self, start: &str, place: &str, options: WalkOptions) -> bool {
        let inner = below(place, start).unwrap_or(place);
        let hidden = inner.split('/').any(|name| name.starts_with('.'));
        let ignored = self.ignored.iter().any(|name| within(place, name) && !within(start, name));
        (options.hidden || !hidden) && (options.ignored || !ignored)
    }
}

/// An agent's files in memory. Shared as an `Arc`, it can be looked at while tools work on it.
#[derive(Debug, Default)]
pub struct MemoryWorkspace {
    state: Mutex<State>,
    processes: Option<ScriptedProcesses>,
}

impl MemoryWorkspace {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with this file in it, never read by the agent.
    #[must_use]
    pub fn with(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.put(path, content);
        self
    }

    /// The same with this file or directory named by a `.gitignore`.
    #[must_use]
    pub fn ignoring(self, path: &str) -> Self {
        self.state().ignored.push(path.to_owned());
        self
    }

    /// The same with this file or directory protected from writing.
    #[must_use]
    pub fn protecting(self, path: &str) -> Self {
        self.state().protected.push(path.to_owned());
        self
    }

    /// The same with each read or write of this file failing, as on a full or broken device.
    #[must_use]
    pub fn failing(self, path: &str, error: FileError) -> Self {
        self.state().failing.insert(path.to_owned(), error);
        self
    }

    /// The same with processes; without, there are none.
    #[must_use]
    pub fn running(self, processes: ScriptedProcesses) -> Self {
        Self { processes: Some(processes), ..self }
    }

    /// Its processes, if it has any.
    #[must_use]
    pub fn scripted(&self) -> Option<&ScriptedProcesses> {
        self.processes.as_ref()
    }

    /// Makes or changes a file as something other than the agent would.
    pub fn put(&self, path: &str, content: impl AsRef<[u8]>) {
        self.state().put(path.to_owned(), content.as_ref().to_owned());
    }

    /// What is in a file, without the agent's having read it.
    #[must_use]
    pub fn content(&self, path: &str) -> Option<Vec<u8>> {
        self.state().files.get(path).map(|file| file.content.clone())
    }

    /// The same as text, invalid UTF-8 replaced.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<String> {
        self.content(path).map(|content| String::from_utf8_lossy(&content).into_owned())
    }

    /// Every file's path, sorted.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        self.state().files.keys().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        held(&self.state)
    }
}

#[async_trait]
impl Workspace for MemoryWorkspace {
    async fn stat(&self, path: &str) -> Result<FileStat, FileError> {
        self.state().stat(path, &place(path)?)
    }

    async fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, FileError> {
        let place = place(path)?;
        let mut state = self.state();
        if let Some(error) = state.failing.get(&place) {
            return Err(error.clone());
        }
        let stat = state.stat(path, &place)?;
        if stat.kind != FileKind::File {
            return Err(wrong_kind(path, "a directory", "a regular file"));
        }
        if stat.size > limit {
            return Err(FileError::TooLarge { path: path.to_owned(), size: stat.size, limit });
        }
        let content = state.files[&place].content.clone();
        state.seen.insert(place, stat.modified);
        Ok(content)
    }

    async fn write(&self, path: &str, content: &[u8]) -> Result<(), FileError> {
        let place = place(path)?;
        let mut state = self.state();
        if let Some(refusal) = state.refusal(path, &place) {
            return Err(refusal);
        }
        let version = state.put(place.clone(), content.to_owned());
        state.seen.insert(place, version);
        Ok(())
    }

    async fn walk(
        &self,
        path: &str,
        options: WalkOptions,
        limit: usize,
    ) -> Result<(Vec<WalkEntry>, bool), FileError> {
        let start = place(path)?;
        let state = self.state();
        if state.stat(path, &start)?.kind != FileKind::Directory {
            return Err(wrong_kind(path, "a file or below one", "a directory"));
        }
        let mut found = BTreeMap::new();
        for file in state.files.keys().filter(|file| below(file, &start).is_some()) {
            for place in ancestors(file).chain([file.as_str()]) {
                if below(place, &start).is_some() && state.takes(&start, place, options) {
                    found.insert(place.to_owned(), state.stat(place, place)?);
                }
            }
        }
        let more = found.len() > limit;
        let entries = found.into_iter().take(limit).map(|(path, stat)| WalkEntry { path, stat });
        Ok((entries.collect(), more))
    }

    fn processes(&self) -> Result<&dyn Processes, ProcessError> {
        let some = self.processes.as_ref().map(|processes| processes as &dyn Processes);
        some.ok_or_else(|| ProcessError::Unavailable {
            asked: "strict".into(),
            missing: vec!["files in memory have no processes".into()],
            hint: "give the workspace some".into(),
        })
    }

    fn report(&self) -> Arc<SandboxReport> {
        let files = || SandboxReport {
            level: "files".into(),
            gaps: vec!["everything is in memory".into()],
            ..SandboxReport::default()
        };
        self.processes.as_ref().map_or_else(|| Arc::new(files()), Processes::report)
    }
}

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The place that a path names: its steps without `.`, with `..` taken back; empty for the work directory.
fn place(path: &str) -> Result<String, FileError> {
    if path.is_empty() || path.contains('\0') {
        return Err(FileError::BadPath {
            path: path.to_owned(),
            why: "it is empty or has a NUL in it".into(),
        });
    }
    let outside = || FileError::Outside(path.to_owned());
    if path.starts_with('/') || path == "~" || path.starts_with("~/") {
        return Err(outside());
    }
    let mut steps = Vec::new();
    for step in path.split('/').filter(|step| !step.is_empty() && *step != ".") {
        match step {
            ".." => drop(steps.pop().ok_or_else(outside)?),
            name => steps.push(name),
        }
    }
    Ok(steps.join("/"))
}

/// What is left of a place below a directory; `None` where it is not below.
fn below<'a>(place: &'a str, directory: &str) -> Option<&'a str> {
    if directory.is_empty() {
        return Some(place).filter(|place| !place.is_empty());
    }
    place.strip_prefix(directory)?.strip_prefix('/')
}

fn within(place: &str, name: &str) -> bool {
    place == name || below(place, name).is_some()
}

/// The directories that a place lies in, outermost first.
fn ancestors(place: &str) -> impl Iterator<Item = &str> {
    place.match_indices('/').map(|(at, _)| &place[..at])
}

fn directory() -> FileStat {
    FileStat { kind: FileKind::Directory, size: 0, modified: 0 }
}

fn wrong_kind(path: &str, found: &'static str, wanted: &'static str) -> FileError {
    FileError::WrongKind { path: path.to_owned(), found, wanted }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_by_something_else_is_not_overwritten_until_it_is_read() {
        let work = MemoryWorkspace::new().with("a/file", "one");
        work.read("./a/file", 10).await.unwrap();
        work.put("a/file", "two");
        assert_eq!(work.write("a/file", b"x").await, Err(FileError::Changed("a/file".into())));
        work.read("a/../a/file", 10).await.unwrap();
        assert_eq!(work.write("a/file", b"x").await, Ok(()));
        assert_eq!(work.text("a/file").as_deref(), Some("x"));
    }

    #[tokio::test]
    async fn a_walk_is_sorted_bounded_and_leaves_out_what_is_hidden_or_ignored() {
        let work = ["a/deep/z", "a-b", ".hidden/x", "target/out", "b"]
            .into_iter()
            .fold(MemoryWorkspace::new().ignoring("target"), |work, path| work.with(path, ""));
        let walk = async |path, options, limit| {
            let (entries, more) = work.walk(path, options, limit).await.unwrap();
            (entries.into_iter().map(|entry| entry.path).collect::<Vec<_>>(), more)
        };
        let strings = |paths: &[&str]| paths.iter().map(|&path| path.to_owned()).collect::<Vec<_>>();
        let plain = WalkOptions::default();
        assert_eq!(walk(".", plain, 9).await, (strings(&["a", "a-b", "a/deep", "a/deep/z", "b"]), false));
        assert_eq!(walk(".", plain, 1).await, (strings(&["a"]), true));
        assert_eq!(walk("target", plain, 9).await, (strings(&["target/out"]), false));
        let all = WalkOptions { hidden: true, ignored: true };
        assert_eq!(walk(".", all, 99).await.0.len(), 9);
    }

    #[tokio::test]
    async fn paths_stay_inside_and_kinds_are_told_apart() {
        let work = MemoryWorkspace::new().with("dir/file", "x").protecting(".git/hooks");
        for path in ["../x", "/etc/passwd", "~", "dir/../../x"] {
            assert_eq!(work.read(path, 1).await, Err(FileError::Outside(path.into())));
        }
        assert_eq!(work.write(".git/hooks/x", b"").await, Err(FileError::Protected(".git/hooks/x".into())));
        let refused = [work.write("dir", b"").await, work.write("dir/file/x", b"").await];
        let wanted = [
            wrong_kind("dir", "a directory", "a regular file"),
            wrong_kind("dir/file/x", "below a file", "in a directory"),
        ];
        assert_eq!(refused, wanted.map(Err));
        let too_large = FileError::TooLarge { path: "dir/file".into(), size: 1, limit: 0 };
        assert_eq!(work.read("dir/file", 0).await, Err(too_large));
    }
}
