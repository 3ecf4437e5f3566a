//! What a directory may look like: nested agents, links, broken files, a store of our own.

use std::fs;
use std::path::Path;

use kode_import::{NoteKind, Refused, Source};
use tempfile::TempDir;

const META: &str = r#"{"templateId":"t","createdAt":"1970-01-01T00:00:00.001Z"}"#;

fn file(dir: &TempDir, path: &str, text: &str) {
    let path = dir.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn agent(dir: &TempDir, name: &str, messages: &str) {
    file(dir, &format!("{name}/meta.json"), META);
    file(dir, &format!("{name}/runtime/messages.json"), messages);
}

fn open(dir: &Path) -> Source {
    Source::open(dir).unwrap()
}

fn refusal(dir: &TempDir, name: &str) -> String {
    open(dir.path()).agent(name, 9).unwrap_err().to_string()
}

#[test]
fn agents_are_found_also_within_each_other_and_links_are_not_followed() {
    let (dir, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    agent(&dir, "user", "[]");
    agent(&dir, "user/1", "[]");
    agent(&dir, "only/deep/er", "[]");
    agent(&dir, "runtime", "[]");
    agent(&elsewhere, "other", "[]");
    file(&dir, "user/history/windows/meta.json", "{}");
    file(&dir, "__pool_meta__/meta.json", "{}");
    file(&dir, "notes.txt", "");
    std::os::unix::fs::symlink(elsewhere.path().join("other"), dir.path().join("link")).unwrap();
    assert_eq!(open(dir.path()).agents().unwrap(), ["only/deep/er", "runtime", "user", "user/1"]);
}

#[test]
fn g7_what_cannot_be_read_is_refused_by_name_and_never_taken_for_nothing() {
    let dir = TempDir::new().unwrap();
    agent(&dir, "cut", r#"[{"role":"user","#);
    agent(&dir, "shape", r#"{"messages":[]}"#);
    agent(&dir, "bytes", "[]");
    fs::write(dir.path().join("bytes/runtime/todos.json"), b"\xff\xfe").unwrap();
    assert!(refusal(&dir, "cut").starts_with("messages.json is broken (EOF"), "{}", refusal(&dir, "cut"));
    assert!(refusal(&dir, "shape").starts_with("runtime/messages.json is broken (it is no list)"));
    assert!(refusal(&dir, "bytes").starts_with("todos.json cannot be read"));
    let long = "阿".repeat(70);
    agent(&dir, &long, "[]");
    assert!(refusal(&dir, &long).contains("at most 200 bytes"), "{}", refusal(&dir, &long));
}

#[test]
fn a_write_ahead_file_counts_where_it_is_whole() {
    let dir = TempDir::new().unwrap();
    let message =
        |text: &str| format!(r#"[{{"role":"user","content":[{{"type":"text","text":"{text}"}}]}}]"#);
    agent(&dir, "newer", &message("old"));
    file(&dir, "newer/runtime/messages.wal", &format!(r#"{{"data":{},"timestamp":1}}"#, message("new")));
    agent(&dir, "torn", &message("old"));
    file(&dir, "torn/runtime/messages.wal", r#"{"data":[{"ro"#);
    let read = |name: &str| {
        let agent = open(dir.path()).agent(name, 9).unwrap();
        let notes: Vec<_> = agent.notes.iter().map(|note| note.kind).collect();
        (agent.heritage.messages[0].text(), agent.created_at, notes)
    };
    assert_eq!(read("newer"), ("new".to_owned(), Some(1), vec![NoteKind::Mended]));
    assert_eq!(read("torn"), ("old".to_owned(), Some(1), vec![NoteKind::Left]));
}

#[test]
fn a_store_of_our_own_is_no_source() {
    let dir = TempDir::new().unwrap();
    file(&dir, ".kode-store", "kode store 1\n");
    assert!(matches!(Source::open(dir.path()), Err(Refused::OwnStore)));
    assert!(matches!(Source::open(dir.path().join("missing")), Err(Refused::Unreadable { .. })));
}
