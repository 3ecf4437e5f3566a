//! What a node writes among the work directories, so that others can see whether they have the same ones: a word that
//! was never written before, which the store tells them as well. A copy of the directories has an older word.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use kode_core::clock::Ids as _;
use kode_core::store::Node;
use kode_core::system::RandomIds;

use crate::failure::Failure;

/// The directory of the marks. No agent's work directory begins with a dot.
const DIR: &str = ".nodes";
/// How old a mark of a node that is not there must be to go.
const STALE: Duration = Duration::from_secs(86_400);

/// The marks of all nodes, among which is one's own.
pub(crate) struct Marks {
    dir: PathBuf,
    file: PathBuf,
    own: String,
}

impl Marks {
    /// Writes this node's.
    pub(crate) fn make(workspace: &Path, id: &str) -> Result<Self, Failure> {
        let (dir, own) = (workspace.join(DIR), RandomIds.agent_suffix());
        let file = dir.join(id);
        let written = make_dir(&dir).and_then(|()| write(&file, &own));
        written.map_err(|error| {
            Failure::failed(format!(
                "the workspace {} cannot be written to, and nodes must share one: {error}",
                workspace.display()
            ))
        })?;
        Ok(Self { dir, file, own })
    }

    /// This node's.
    pub(crate) fn own(&self) -> &str {
        &self.own
    }

    /// Another node's, if it is here.
    pub(crate) fn of(&self, id: &str) -> Option<String> {
        // A name that another version gave may be no file's.
        let plain = !id.is_empty() && !id.starts_with('.') && !id.contains('/');
        plain.then(|| fs::read_to_string(self.dir.join(id)).ok()).flatten()
    }

    /// Removes old marks of nodes that are not there any more. What cannot be removed is in nobody's way.
    pub(crate) fn sweep(&self, there: &[Node]) {
        let Ok(files) = fs::read_dir(&self.dir) else { return };
        for file in files.flatten() {
            let name = file.file_name();
            let known = there.iter().any(|node| name == node.id.as_str()) || file.path() == self.file;
            let age = file.metadata().and_then(|seen| seen.modified()).ok();
            let age = age.and_then(|at| SystemTime::now().duration_since(at).ok());
            if !known && age.is_some_and(|age| age > STALE) {
                let _ = fs::remove_file(file.path());
            }
        }
    }

    /// Takes this node's away.
    pub(crate) fn remove(&self) {
        let _ = fs::remove_file(&self.file);
    }
}

fn make_dir(dir: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// At once, so that nobody reads half of it.
fn write(file: &Path, text: &str) -> std::io::Result<()> {
    let fresh = file.with_file_name(format!(".{text}"));
    let mut open = fs::OpenOptions::new();
    let mut written = open.write(true).create_new(true).mode(0o600).open(&fresh)?;
    std::io::Write::write_all(&mut written, text.as_bytes())?;
    written.sync_all()?;
    fs::rename(&fresh, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_of_one_workspace_see_each_others_marks_and_those_of_copies_do_not() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let a = Marks::make(one.path(), "a").unwrap();
        let b = Marks::make(one.path(), "b").unwrap();
        assert_eq!((a.of("b").as_deref(), b.of("a").as_deref()), (Some(b.own()), Some(a.own())));
        let copied = other.path().join(DIR);
        fs::create_dir(&copied).unwrap();
        fs::copy(one.path().join(DIR).join("a"), copied.join("a")).unwrap();
        let again = Marks::make(one.path(), "a").unwrap();
        let c = Marks::make(other.path(), "c").unwrap();
        assert_ne!(c.of("a").as_deref(), Some(again.own()), "a copy is of an earlier start");
        for strange in ["", "..", "../a", "/etc/hostname", "nobody"] {
            assert_eq!(a.of(strange), None, "{strange}");
        }
        b.sweep(&[]);
        assert!(b.of("a").is_some(), "it is young");
        again.remove();
        assert_eq!(b.of("a"), None);
    }
}
