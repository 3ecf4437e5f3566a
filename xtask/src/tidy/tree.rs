//! The files that belong to the project, as text in memory, so that every check can be tried on planted ones.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::context::read;

/// Paths from the workspace root, with `/`, and the text of each.
pub(crate) struct Tree {
    files: BTreeMap<String, String>,
}

impl Tree {
    /// Reads what git tracks and what it would track; ignored files and those that are not text stay out.
    pub(crate) fn load(root: &Path) -> anyhow::Result<Self> {
        let mut git = Command::new("git");
        git.current_dir(root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let listed = read(&mut git)?;
        // A file may be listed and already deleted.
        let text = |path: &str| std::fs::read_to_string(root.join(path)).ok();
        let files = listed.split('\0').filter_map(|path| Some((path.to_owned(), text(path)?)));
        Ok(Self { files: files.collect() })
    }

    /// A tree of planted files.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        Self { files: files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect() }
    }

    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    pub(crate) fn rust_sources(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(|(path, _)| path.ends_with(".rs"))
    }

    pub(crate) fn read(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Whether there is such a file, or a directory that holds one.
    pub(crate) fn has(&self, path: &str) -> bool {
        let beneath = format!("{path}/");
        self.files.contains_key(path)
            || path.is_empty()
            || self.files.keys().any(|file| file.starts_with(&beneath))
    }
}
