//! The commands of README and quickstart, run as they stand there.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::harness::Server;

/// A shell block that calls the server, and what its output must show.
struct Block {
    script: String,
    shows: Vec<String>,
}

fn blocks(markdown: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut script: Option<String> = None;
    for line in markdown.lines() {
        match (&mut script, line) {
            (None, "```sh") => script = Some(String::new()),
            (Some(text), "```") => {
                blocks.push(Block { script: std::mem::take(text), shows: Vec::new() });
                script = None;
            }
            (Some(text), line) => *text += &format!("{line}\n"),
            (None, line) => {
                if let Some(shown) = line.strip_prefix("<!-- shows: ").and_then(|l| l.strip_suffix(" -->")) {
                    blocks.last_mut().expect("a block stands before what it shows").shows.push(shown.into());
                }
            }
        }
    }
    blocks
}

fn project_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

fn run_page(name: &str) {
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir);
    let page = std::fs::read_to_string(project_file(name)).unwrap();
    let blocks = blocks(&page);
    assert!(blocks.len() >= 4, "{name} has {} shell blocks", blocks.len());
    for block in blocks {
        assert!(!block.shows.is_empty(), "nothing is checked of: {}", block.script);
        let script = block.script.replace("http://127.0.0.1:3000", &server.base);
        let binary = Path::new(env!("CARGO_BIN_EXE_kode")).parent().expect("it lies in a directory");
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new("bash")
            .env("PATH", format!("{}:{path}", binary.display()))
            .args(["-euo", "pipefail", "-c", &script])
            .current_dir(&dir)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{name}: {script}\n{told}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        for shown in &block.shows {
            assert!(told.contains(shown), "{name}: {shown} is missing in the output of\n{script}\n{told}");
        }
    }
}

#[test]
fn the_readme_can_be_followed() {
    run_page("README.md");
}

#[test]
fn the_chinese_readme_can_be_followed() {
    run_page("README.zh-CN.md");
}

#[test]
fn the_quickstart_can_be_followed() {
    run_page("docs/quickstart.md");
}
