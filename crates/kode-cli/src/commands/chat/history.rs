//! What the user typed before, over sessions: one file for each user, one entry a line, readable by the
//! owner alone. A history that cannot be kept is no reason not to chat.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::config::Env;

/// Entries that are offered again.
const KEPT: usize = 1_000;

/// The file, and what it had.
pub(super) struct History {
    file: Option<File>,
    /// The entries, oldest first.
    pub(super) entries: Vec<String>,
}

impl History {
    /// The user's, where there is a place for it.
    pub(super) fn of_user(env: Env<'_>) -> Self {
        let opened = place(env).and_then(|path| Self::open(&path).ok());
        opened.unwrap_or(Self { file: None, entries: Vec::new() })
    }

    fn open(path: &Path) -> io::Result<Self> {
        if let Some(dir) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let mut entries: Vec<String> = text.lines().map(unescaped).collect();
        if entries.len() > 2 * KEPT {
            entries.drain(..entries.len() - KEPT);
            file.set_len(0)?;
            let kept: String = entries.iter().map(|entry| escaped(entry)).collect();
            file.write_all(kept.as_bytes())?;
        }
        Ok(Self { file: Some(file), entries })
    }

    /// Keeps what was typed.
    pub(super) fn add(&mut self, entry: &str) {
        if let Some(file) = &mut self.file
            && file.write_all(escaped(entry).as_bytes()).is_err()
        {
            self.file = None;
        }
    }
}

/// The directory for such state, by the conventions of the desktop.
fn place(env: Env<'_>) -> Option<PathBuf> {
    let state = env("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let state = state.or_else(|| Some(PathBuf::from(env("HOME")?).join(".local/state")))?;
    Some(state.join("kode/chat-history"))
}

fn escaped(entry: &str) -> String {
    entry.replace('\\', "\\\\").replace('\n', "\\n") + "\n"
}

fn unescaped(line: &str) -> String {
    let mut entry = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.as_str().starts_with('n') => {
                chars.next();
                entry.push('\n');
            }
            '\\' => entry.extend(chars.next()),
            c => entry.push(c),
        }
    }
    entry
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_was_typed_is_there_again_and_nobody_else_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/chat-history");
        let entries = ["hello", "two\nlines", "a\\n b \\", "你好"];
        let mut history = History::open(&path).unwrap();
        entries.iter().for_each(|entry| history.add(entry));
        assert_eq!(History::open(&path).unwrap().entries, entries);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let parent = path.parent().unwrap();
        assert_eq!(std::fs::metadata(parent).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("chat-history");
        let mut history = History::open(&path).unwrap();
        (0..=2 * KEPT).for_each(|n| history.add(&n.to_string()));
        let entries = History::open(&path).unwrap().entries;
        assert_eq!((entries.len(), entries.last().unwrap().as_str()), (KEPT, "2000"));
        assert_eq!(History::open(&path).unwrap().entries, entries);
    }

    #[test]
    fn it_lies_where_the_desktop_keeps_such_things() {
        let env = |name: &str| (name == "HOME").then(|| "/home/me".to_owned());
        assert_eq!(place(&env), Some("/home/me/.local/state/kode/chat-history".into()));
        let own = |name: &str| Some(if name == "HOME" { "/home/me" } else { "/state" }.to_owned());
        assert_eq!(place(&own), Some("/state/kode/chat-history".into()));
        assert_eq!(place(&|_| None), None);
    }
}
