//! `kode store import`: the directory of `fixtures/upstream`, as the TypeScript SDK's file store writes it, with whole
//! and with broken agents.

use std::path::{Path, PathBuf};
use std::process::Output;

use kode_testkit::glm_emulator::{GlmEmulator, Reply};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Server, run};

fn upstream() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/upstream")
}

fn import(dir: &TempDir, more: &[&str]) -> Output {
    let source = upstream();
    let args = [&["store", "import", source.to_str().unwrap(), "--json"], more].concat();
    run(dir.path(), &args)
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

/// The names in one list of a report.
fn names(report: &Value, list: &str) -> Vec<String> {
    let agents = report[list].as_array().unwrap();
    agents.iter().map(|agent| agent["upstream"].as_str().unwrap().to_owned()).collect()
}

const WHOLE: [&str; 3] = ["agt-01HQ3V8K7M2N4P5R6S7T8V9W0X", "user 阿/1", "user:broken"];
const REFUSED: [&str; 3] = ["unreadable", "wants-a-template", "without-meta"];

#[tokio::test]
async fn g2_g7_imported_agents_go_on_with_a_history_that_a_model_takes() {
    let dir = TempDir::new().unwrap();
    let first = import(&dir, &[]);
    assert_eq!(first.status.code(), Some(1), "{first:?}");
    let told = report(&first);
    assert_eq!(
        (names(&told, "imported"), names(&told, "refused")),
        (WHOLE.map(Into::into).into(), REFUSED.map(Into::into).into())
    );
    let error = String::from_utf8_lossy(&first.stderr);
    assert!(error.starts_with("kode: 3 of 6 agents were refused") && error.lines().count() == 1, "{error}");

    // Again: those that are there stay as they are, and the rest can be told a template.
    let again = report(&import(&dir, &["--template", "my-own=chat-assistant"]));
    assert_eq!(names(&again, "skipped"), WHOLE);
    assert_eq!(names(&again, "imported"), ["wants-a-template"]);

    let glm = GlmEmulator::start().await.unwrap();
    let server = Server::start_with_glm(&dir, &glm.base_url(), "testid.testsecret", |_| {});
    let ids = ["agt-01HQ3V8K7M2N4P5R6S7T8V9W0X", "user~20~E9~98~BF~2F1", "user:broken", "wants-a-template"];
    for id in ids {
        glm.push(Reply::text(format!("I remember, {id}.")));
        let (status, sent) =
            server.post(&format!("/api/agents/{id}/messages"), &json!({ "text": "go on" })).await;
        assert_eq!(status, 202, "{id}: {sent}");
        server.until_ready(id).await;
        let (_, page) = server.get(&format!("/api/agents/{id}/messages")).await;
        let said = page["messages"].as_array().unwrap().last().unwrap()["content"][0]["text"].clone();
        assert_eq!(said, json!(format!("I remember, {id}.")));
    }
    assert_eq!(glm.violations(), Vec::<String>::new());

    let (_, info) = server.get("/api/agents/user:broken").await;
    assert_eq!(info["metadata"]["plan"], "pro");
    assert_eq!(info["metadata"]["importedFrom"]["lineage"], json!(["agt-parent"]));
    assert_eq!(info["createdAt"], 1_735_810_200_000_u64, "{info}");
    let (_, todos) = server.get("/api/agents/user:broken/todos").await;
    assert_eq!((todos["todos"].as_array().unwrap().len(), &todos["version"]), (2, &json!(4)));
    assert_eq!(server.get("/api/agents/user:broken/approvals").await.1, json!({ "approvals": [] }));

    let live = import(&dir, &[]);
    assert_eq!(live.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&live.stderr).contains("in use by another process"), "{live:?}");
}

#[test]
fn a_dry_run_says_the_same_and_writes_nothing() {
    let dir = TempDir::new().unwrap();
    let before = std::fs::read_dir(dir.path()).unwrap().count();
    let told = report(&import(&dir, &["--dry-run"]));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), before);
    let mut done = report(&import(&dir, &[]));
    assert_eq!((done["dryRun"].take(), &told["dryRun"]), (json!(false), &json!(true)));
    assert_eq!(done["imported"], told["imported"]);
    assert_eq!(done["refused"], told["refused"]);
    assert_eq!(names(&report(&import(&dir, &["--dry-run"])), "skipped"), WHOLE);
}

#[test]
fn nothing_is_passed_over_and_no_key_is_taken_along() {
    let dir = TempDir::new().unwrap();
    let plain = run(dir.path(), &["store", "import", upstream().to_str().unwrap()]);
    let told = String::from_utf8(plain.stdout).unwrap();
    for part in [
        "imported user:broken (chat-assistant): 8 messages, 5 calls, 2 todos",
        "mended: message 1 was a system message",
        "mended: message 2: a result without its call, toolu_gone became text",
        "mended: message 3: the call toolu_dup of fs_write had no result; it is sealed",
        "mended: message 5: one more result of toolu_dup became text",
        "left: events (3 files)",
        "left: snapshots (1 files)",
        "refused unreadable: meta.json is broken",
        "refused wants-a-template: there is no template my-own",
        "refused without-meta: its meta.json is missing or names no template",
        "3 imported, 0 skipped, 3 refused",
    ] {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
    for agent in ["user:broken", "agt-01HQ3V8K7M2N4P5R6S7T8V9W0X"] {
        let journal =
            std::fs::read_to_string(dir.path().join(".kode").join(agent).join("journal-1.jsonl")).unwrap();
        assert!(!journal.contains("upstream-key"), "a key came along");
    }
}

#[test]
fn what_is_no_upstream_directory_is_said_to_be_none() {
    let dir = TempDir::new().unwrap();
    let of = |args: &[&str]| {
        let output = run(dir.path(), &[&["store", "import"], args].concat());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, why) = of(&["missing"]);
    assert!(code == Some(2) && why.contains("cannot be read"), "{why}");
    let (code, why) = of(&["."]);
    assert!(code == Some(1) && why.contains("holds no agents"), "{why}");
    let (code, why) = of(&[upstream().to_str().unwrap(), "--template", "a=nonsense"]);
    assert!(code == Some(2) && why.contains("there is no template nonsense"), "{why}");
    import(&dir, &[]);
    let (code, why) = of(&[".kode"]);
    assert!(code == Some(2) && why.contains("a kode store already"), "{why}");
}
