//! The file of keys: TOML, one `[[key]]` for each, with the hash of a key and never the key.

use std::fmt::Display;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use kode_server::auth::{ApiKey, KeyHash, Limits, Reach, Right, Rights};
use serde::Deserialize;
use toml::{Table, Value};

use crate::config::nearest;
use crate::failure::Failure;

const KEY: [&str; 5] = ["name", "hash", "prefixes", "rights", "limits"];
const LIMITS: [&str; 4] = ["requests_per_minute", "agents", "runs", "tokens_per_day"];
/// Longest name, in bytes.
const NAME_MAX: usize = 128;

/// One key as the file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    hash: String,
    prefixes: Vec<String>,
    rights: Option<Vec<Right>>,
    #[serde(default)]
    limits: Limits,
}

/// Reads a file of keys.
pub(super) fn load(path: &Path) -> Result<Vec<ApiKey>, Failure> {
    let at = format!("the file of keys {}", path.display());
    let text = private(path).map_err(|why| Failure::usage(format!("{at} {why}")))?;
    parse(&text).map_err(|why| Failure::usage(format!("{at}: {why}")))
}

/// The text of a file that not everybody may read.
fn private(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let mut file = std::fs::File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode();
    if mode & 0o007 != 0 {
        return Err(format!("is open to everybody on this machine; say: chmod 600 {}", path.display()));
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

fn parse(text: &str) -> Result<Vec<ApiKey>, String> {
    let mut table: Table = text.parse().map_err(|e: toml::de::Error| format!("not TOML: {}", e.message()))?;
    known(&table, &["key"], "begin each key with a line [[key]]")?;
    let entries = match table.remove("key") {
        None => Vec::new(),
        Some(Value::Array(entries)) => entries,
        Some(_) => return Err("begin each key with a line [[key]], in double brackets".into()),
    };
    let mut keys: Vec<ApiKey> = Vec::new();
    for (index, entry) in entries.into_iter().enumerate() {
        let name = entry.get("name").and_then(Value::as_str);
        let called = name.map_or_else(|| format!("key {}", index + 1), |name| format!("key {name:?}"));
        let key = key(entry).map_err(|why| format!("{called}: {why}"))?;
        if keys.iter().any(|other| other.name == key.name || other.hash == key.hash) {
            return Err(format!(
                "{called}: another key has the same name or hash; make one with `kode keys new`"
            ));
        }
        keys.push(key);
    }
    Ok(keys)
}

fn key(entry: Value) -> Result<ApiKey, String> {
    let table = entry.as_table().ok_or("begin each key with a line [[key]]")?;
    known(table, &KEY, "")?;
    if let Some(limits) = table.get("limits").and_then(Value::as_table) {
        known(limits, &LIMITS, "limits.")?;
    }
    let entry = Entry::deserialize(entry).map_err(|e| e.message().trim().replace('\n', " "))?;
    let Entry { name, hash, prefixes, rights, limits } = entry;
    if name.is_empty() || name.len() > NAME_MAX || name.contains(char::is_control) {
        return Err(format!("name: 1 to {NAME_MAX} bytes, on one line"));
    }
    if rights.as_ref().is_some_and(Vec::is_empty) {
        return Err("rights: name at least one of read, write, approve, admin; or leave it out".into());
    }
    let rights: Rights = rights.map_or_else(Rights::default, |rights| rights.into_iter().collect());
    if prefixes.is_empty() && !rights.has(Right::Admin) {
        return Err("prefixes: name at least one, such as \"user:1\"".into());
    }
    let within = |what: &str, why: &dyn Display| format!("{what}: {why}");
    let hash: KeyHash = hash.parse().map_err(|why| within("hash", &why))?;
    let reach = Reach::under(&prefixes).map_err(|why| within("prefixes", &why))?;
    Ok(ApiKey { name, hash, reach, rights, limits })
}

fn known(table: &Table, keys: &[&str], within: &str) -> Result<(), String> {
    let Some(unknown) = table.keys().find(|key| !keys.contains(&key.as_str())) else { return Ok(()) };
    let hint = match nearest(unknown, keys) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("known are {}", keys.join(", ")),
    };
    if within.ends_with('.') || within.is_empty() {
        return Err(format!("unknown key {within}{unknown}; {hint}"));
    }
    Err(format!("unknown key {unknown}; {within}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn with(more: &str) -> String {
        format!("[[key]]\nname = \"ann\"\nhash = \"{HASH}\"\n{more}")
    }

    #[test]
    fn a_key_has_all_rights_but_admin_and_no_limits_unless_it_says_so() {
        let keys = parse(&with("prefixes = [\"user:1\"]")).unwrap();
        let key = ApiKey {
            name: "ann".into(),
            hash: HASH.parse().unwrap(),
            reach: Reach::under(&["user:1"]).unwrap(),
            rights: Rights::default(),
            limits: Limits::default(),
        };
        assert_eq!(keys, [key]);
        let more = "prefixes = [\"*\"]\nrights = [\"read\", \"admin\"]\nlimits = { requests_per_minute = 60, agents = 5, runs = 2, tokens_per_day = 1000 }";
        let keys = parse(&with(more)).unwrap();
        assert!(keys[0].rights.has(Right::Admin));
        assert_eq!(keys[0].limits.runs.map(usize::from), Some(2));
        assert_eq!(keys[0].limits.tokens_per_day.map(u64::from), Some(1_000));
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_is_named_with_what_to_write() {
        let twice = with("prefixes = [\"a\"]") + "\n" + &with("prefixes = [\"a\"]");
        let wrong: Vec<(String, &str)> = vec![
            (with(""), "prefixes"),
            (with("prefixes = []"), "key \"ann\": prefixes: name at least one"),
            (with("prefixes = [\"\"]"), "\"*\""),
            (with("prefixes = [\"user:*\"]"), "such as \"user:1\""),
            (with("prefix = [\"a\"]"), "did you mean prefixes?"),
            (with("prefixes = [\"a\"]\nrights = [\"reed\"]"), "reed"),
            (with("prefixes = [\"a\"]\nrights = []"), "read, write, approve, admin"),
            (with("prefixes = [\"a\"]\nlimits = { tokens_per_day = 0 }"), "zero"),
            (with("prefixes = [\"a\"]\nlimits = { run = 5 }"), "did you mean runs?"),
            (with("prefixes = [\"a\"]\nlimits = { runs = 0 }"), "zero"),
            (with("prefixes = [\"a\"]").replace("sha256:", ""), "hash: a hash is \"sha256:\""),
            (with("prefixes = [\"a\"]").replace("ann", ""), "name: 1 to 128"),
            (twice, "the same name or hash"),
            ("[key]\nname = \"a\"".into(), "[[key]]"),
            ("[[keys]]\nname = \"a\"".into(), "[[key]]"),
            ("key = 1".into(), "[[key]]"),
            ("[[key]".into(), "not TOML"),
        ];
        for (text, told) in wrong {
            let why = parse(&text).unwrap_err();
            assert!(why.contains(told), "{text}\nsays {why}\nnot {told}");
            assert!(!why.contains("ba7816bf"), "{why}");
        }
    }

    #[test]
    fn a_file_that_everybody_may_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.toml");
        std::fs::write(&path, with("prefixes = [\"a\"]")).unwrap();
        for (mode, good) in [(0o644, false), (0o604, false), (0o602, false), (0o640, true), (0o600, true)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            match load(&path) {
                Ok(keys) => assert!(good && keys.len() == 1, "{mode:o}"),
                Err(failure) => assert!(!good && failure.why().contains("chmod 600"), "{mode:o}"),
            }
        }
        assert!(load(&dir.path().join("none")).is_err());
    }
}
