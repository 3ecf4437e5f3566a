//! The directory that upstream's file store wrote: which agents it has, and their documents. The only room that
//! touches files; it changes none.
//!
//! ```text
//! DIR/<agentId>/meta.json
//!               runtime/messages.json  tool-calls.json  todos.json    (and .wal, which is newer where it is whole)
//!               events/*.log  history/*/*  snapshots/*.json           (left where they are)
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::note::Notes;
use crate::{Refused, surrogates};

/// How deep agents may lie in each other's directories: an id with a slash was made a path.
const DEPTH: usize = 8;
/// The rooms of an agent's directory.
const ROOMS: [&str; 4] = ["runtime", "events", "history", "snapshots"];
/// Where upstream's pool keeps its list of agents: it is none.
const POOL: &str = "__pool_meta__";

/// Upstream's store.
#[derive(Debug, Clone)]
pub struct Source {
    root: PathBuf,
}

/// What upstream wrote of one agent, as it stands.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    pub(crate) meta: Option<Value>,
    pub(crate) messages: Option<Value>,
    pub(crate) records: Option<Value>,
    pub(crate) todos: Option<Value>,
    /// How many files there are of what is not imported, by room.
    pub(crate) left: BTreeMap<&'static str, usize>,
}

impl Source {
    /// The store in a directory.
    ///
    /// # Errors
    /// It cannot be read, or it is one of kode's own.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, Refused> {
        let root = root.into();
        if root.join(".kode-store").exists() {
            return Err(Refused::OwnStore);
        }
        fs::read_dir(&root).map_err(|error| Refused::unreadable("the directory", &error))?;
        Ok(Self { root })
    }

    /// The names of its agents, in order. Links are not followed.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn agents(&self) -> Result<Vec<String>, Refused> {
        let mut names = Vec::new();
        find(&self.root, "", DEPTH, &mut names)?;
        names.sort();
        Ok(names)
    }

    /// Reads what there is of one agent.
    pub(crate) fn read(&self, name: &str, notes: &mut Notes) -> Result<Documents, Refused> {
        let dir = self.root.join(name);
        let runtime = dir.join("runtime");
        Ok(Documents {
            meta: document(&dir, "meta.json", notes)?,
            messages: logged(&runtime, "messages", notes)?,
            records: logged(&runtime, "tool-calls", notes)?,
            todos: document(&runtime, "todos.json", notes)?,
            left: left(&dir),
        })
    }
}

/// Adds the agents beneath a directory.
fn find(dir: &Path, within: &str, depth: usize, names: &mut Vec<String>) -> Result<(), Refused> {
    let entries = fs::read_dir(dir).map_err(|error| Refused::unreadable(&shown(within), &error))?;
    for entry in entries {
        let entry = entry.map_err(|error| Refused::unreadable(&shown(within), &error))?;
        // A name that is no Unicode cannot be one of upstream's.
        let Ok(name) = entry.file_name().into_string() else { continue };
        let room = !within.is_empty() && ROOMS.contains(&name.as_str());
        if room || name == POOL || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = entry.path();
        let name = if within.is_empty() { name } else { format!("{within}/{name}") };
        if path.join("meta.json").is_file() || path.join("runtime").is_dir() {
            names.push(name.clone());
        }
        if depth > 1 {
            find(&path, &name, depth - 1, names)?;
        }
    }
    Ok(())
}

fn shown(within: &str) -> String {
    if within.is_empty() { "the directory".to_owned() } else { within.to_owned() }
}

/// A document and, where upstream died between the two writes, the newer one of its write-ahead file.
fn logged(dir: &Path, name: &str, notes: &mut Notes) -> Result<Option<Value>, Refused> {
    let ahead = format!("{name}.wal");
    match document(dir, &ahead, notes) {
        Ok(Some(Value::Object(mut fields))) if fields.contains_key("data") => {
            notes.mended(format!("runtime/{ahead} was newer than runtime/{name}.json and was taken instead"));
            return Ok(fields.remove("data"));
        }
        Ok(None) => {}
        Ok(Some(_)) | Err(_) => {
            notes.left(format!("runtime/{ahead} is not whole; runtime/{name}.json was taken"));
        }
    }
    document(dir, &format!("{name}.json"), notes)
}

/// A JSON document; none where there is no such file.
fn document(dir: &Path, file: &str, notes: &mut Notes) -> Result<Option<Value>, Refused> {
    let text = match fs::read_to_string(dir.join(file)) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Refused::unreadable(file, &error)),
    };
    let parsed = serde_json::from_str(&text).or_else(|error| {
        let (whole, count) = surrogates::replaced(&text);
        if count > 0 {
            notes.mended(format!("{file}: {count} halves of cut characters were replaced"));
        }
        serde_json::from_str(&whole).map_err(|_| error)
    });
    parsed.map(Some).map_err(|error| Refused::Broken { file: file.to_owned(), why: error.to_string() })
}

/// Counts the files that have no place in a journal.
fn left(dir: &Path) -> BTreeMap<&'static str, usize> {
    let rooms = ["events", "history/windows", "history/compressions", "history/recovered", "snapshots"];
    let counts = rooms.map(|room| (room, fs::read_dir(dir.join(room)).map_or(0, Iterator::count)));
    let media = usize::from(dir.join("runtime/media-cache.json").is_file());
    counts.into_iter().chain([("runtime/media-cache.json", media)]).filter(|(_, count)| *count > 0).collect()
}
