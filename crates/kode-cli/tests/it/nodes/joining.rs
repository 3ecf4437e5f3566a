//! Which nodes may be beside each other, and what the others are told.

use std::time::Duration;

use kode_testkit::glm_emulator::{GlmEmulator, Reply};
use kode_testkit::servers::free_port;
use serde_json::json;
use tempfile::TempDir;

use super::Backend;
use super::cluster::command;
use crate::harness::Server;

/// Says last, in one line, why it does not start.
fn assert_refused(ended: &std::process::Output, words: &[&str]) {
    let told = String::from_utf8_lossy(&ended.stderr);
    let last = told.lines().last().unwrap_or_default();
    assert_eq!(ended.status.code(), Some(1), "{told}");
    assert!(words.iter().all(|word| last.contains(word)), "{told}");
}

fn address() -> String {
    format!("127.0.0.1:{}", free_port().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_node_without_the_secret_or_with_other_files_does_not_start() {
    let Some(backend) = Backend::redis() else { return };
    let (glm, dir, other) =
        (GlmEmulator::start().await.unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap());
    let first = Server::launch(command(dir.path(), &backend.url(), &glm, "a", &address()), |_| {});
    let mut unknown = command(dir.path(), &backend.url(), &glm, "b", &address());
    unknown.env_remove("KODE_CLUSTER_SECRET").env_remove("KODE_NODE_URL");
    assert_refused(&unknown.output().unwrap(), &["\"a\"", "KODE_CLUSTER_SECRET", "KODE_NODE_URL"]);
    let elsewhere = command(other.path(), &backend.url(), &glm, "c", &address()).output().unwrap();
    assert_refused(&elsewhere, &["\"a\"", "KODE_WORKSPACE"]);
    // Nor does it leave a word behind that would be in the way of one that fits.
    let _second = Server::launch(command(dir.path(), &backend.url(), &glm, "d", &address()), |_| {});
    drop(first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_died_without_the_secret_is_waited_for_and_not_taken_for_one() {
    let Some(backend) = Backend::redis() else { return };
    let (glm, dir) = (GlmEmulator::start().await.unwrap(), TempDir::new().unwrap());
    let alone = |id: &str| {
        let mut command = command(dir.path(), &backend.url(), &glm, id, &address());
        command.env_remove("KODE_CLUSTER_SECRET").env_remove("KODE_NODE_URL");
        command
    };
    Server::launch(alone("a"), |_| {}).kill();
    let _again = Server::launch(alone("b"), |_| {});
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_with_different_secrets_say_so_and_do_not_forward() {
    let Some(backend) = Backend::redis() else { return };
    let (glm, dir) = (GlmEmulator::start().await.unwrap(), TempDir::new().unwrap());
    glm.respond(|_| Reply::text("Done.").paced(Duration::from_millis(1)));
    let first = Server::launch(command(dir.path(), &backend.url(), &glm, "a", &address()), |_| {});
    let mut other = command(dir.path(), &backend.url(), &glm, "b", &address());
    other.env("KODE_CLUSTER_SECRET", "quite another secret than theirs");
    let second = Server::launch(other, |_| {});
    let path = "/api/agents/user:1/messages";
    assert_eq!(first.post(path, &json!({ "text": "hello" })).await.0, 202);
    let (status, answer) = second.post(path, &json!({ "text": "hello" })).await;
    assert_eq!((status, &answer["code"]), (502, &json!("cluster_mismatch")), "{answer}");
    // Reading needs no word of the other node's.
    assert_eq!(second.get("/api/agents/user:1").await.0, 200);
}
