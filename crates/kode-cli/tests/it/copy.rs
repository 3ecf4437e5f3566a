//! `kode store copy` between a directory and a database, with servers on both; and what the other store commands say
//! of a database.

use std::path::Path;
use std::process::Output;

use kode_testkit::servers::{PostgresServer, RedisServer};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Server, kode, run};

const DATABASE: &str = "KODE_TEST_DATABASE";

/// A command with the database's URL in its environment.
fn with(database: &str, dir: &Path, args: &[&str]) -> Output {
    kode(dir, args)
        .env(DATABASE, database)
        .env("KODE_STORE", database)
        .output()
        .expect("the binary was built")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn export(dir: &Path, store: &str) -> Value {
    let output = run(dir, &["agents", "export", "user:1", "--store", store]);
    assert!(output.status.success(), "{store}: {}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str::<Value>(line).expect("it is JSON")).collect()
}

async fn talk(server: &Server, text: &str) {
    server.post("/api/agents/user:1/messages", &json!({ "text": text })).await;
    server.until_ready("user:1").await;
}

#[tokio::test]
async fn g1_g4_an_agent_goes_from_files_to_a_database_and_back() {
    let Some(postgres) = PostgresServer::start(&[]) else { return };
    let database = format!("{}?durability=none", postgres.url());
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir);
    talk(&server, "hello").await;
    let refused = with(&database, dir.path(), &["store", "copy", "fs:./.kode", "env:KODE_TEST_DATABASE"]);
    assert!(
        !refused.status.success() && said(&refused).contains("in use"),
        "a live source: {}",
        said(&refused)
    );
    server.kill();

    let copy = |from: &str, to: &str| with(&database, dir.path(), &["store", "copy", from, to, "--json"]);
    let copied = copy("fs:./.kode", "env:KODE_TEST_DATABASE");
    assert!(copied.status.success(), "{}", said(&copied));
    let report: Value = serde_json::from_slice(&copied.stdout).unwrap();
    assert_eq!(report["copied"][0]["agentId"], "user:1", "{report}");
    let told = export(dir.path(), "fs:./.kode");
    assert!(told.as_array().unwrap().len() > 5);
    assert_eq!(export(dir.path(), &database), told);

    // A server goes on with it there, and the way back is as short.
    let server = Server::start_with(dir.path(), &["--store", &database]);
    talk(&server, "hello again").await;
    server.kill();
    let again = copy("fs:./.kode", "env:KODE_TEST_DATABASE");
    assert!(!again.status.success() && said(&again).contains("not the same: user:1"), "{}", said(&again));
    let held = copy("env:KODE_TEST_DATABASE", "fs:./back");
    assert!(!held.status.success() && said(&held).contains("stop the servers"), "{}", said(&held));
    // As if the time of the dead server's leases, and of its word that it is there, were over.
    for table in ["agents", "nodes"] {
        postgres.sql(&format!("UPDATE kode.{table} SET expires = clock_timestamp()"));
    }
    let back = copy("env:KODE_TEST_DATABASE", "fs:./back");
    assert!(back.status.success(), "{}", said(&back));
    assert_eq!(export(dir.path(), "fs:./back"), export(dir.path(), &database));
    assert!(export(dir.path(), "fs:./back").as_array().unwrap().len() > told.as_array().unwrap().len());
    let check = run(dir.path(), &["store", "check", "--store", "fs:./back"]);
    assert!(check.status.success(), "{}", said(&check));
}

/// From kind to kind, and the events are the same under the same cursors.
#[tokio::test]
async fn g4_an_agent_goes_round_all_kinds_of_stores() {
    let (Some(postgres), Some(redis)) = (PostgresServer::start(&[]), RedisServer::start(&[])) else { return };
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir);
    talk(&server, "write a.txt hi there").await;
    server.kill();
    let stores = [
        "fs:./.kode".to_owned(),
        redis.url(),
        format!("{}?durability=none", postgres.url()),
        format!("{}?prefix=other", redis.url()),
        "fs:./last".to_owned(),
    ];
    let told = export(dir.path(), &stores[0]);
    for pair in stores.windows(2) {
        let copied = run(dir.path(), &["store", "copy", &pair[0], &pair[1]]);
        assert!(copied.status.success(), "{} to {}: {}", pair[0], pair[1], said(&copied));
        assert_eq!(export(dir.path(), &pair[1]), told, "{}", pair[1]);
    }
}

#[tokio::test]
async fn the_store_commands_say_what_they_mean_for_a_database() {
    let Some(postgres) = PostgresServer::start(&[]) else { return };
    let (database, dir) = (format!("{}?durability=none", postgres.url()), TempDir::new().unwrap());
    let store = |args: &[&str]| {
        let output = with(&database, dir.path(), &[&["store"], args].concat());
        (output.status.code().unwrap(), said(&output))
    };
    let (code, none) = store(&["check"]);
    assert!(code == 1 && none.contains("no store in the schema"), "{none}");
    assert!(store(&["migrate", "--dry-run"]).1.contains("would be made"));
    assert!(store(&["migrate"]).1.contains("was made"));
    assert!(store(&["migrate"]).1.contains("nothing to do"));
    let server = Server::start_with(dir.path(), &["--store", &database]);
    talk(&server, "hello").await;
    let (code, whole) = store(&["check"]);
    assert!(code == 0 && whole.contains("user:1: whole up to entry"), "beside a live server: {whole}");
    server.kill();
    postgres.sql("DELETE FROM kode.entries WHERE seq = 2");
    let (code, damaged) = store(&["check"]);
    assert!(code == 1 && damaged.contains("damaged") && damaged.contains("pg_amcheck"), "{damaged}");
    let (code, repair) = store(&["repair"]);
    assert!(code == 2 && repair.contains("restore a backup"), "{repair}");
}

/// Neither in what is said nor in what is refused.
#[test]
fn a_password_in_a_stores_url_is_never_told() {
    let dir = TempDir::new().unwrap();
    let url = "postgres://anna:hunter2@127.0.0.1:1/agents?timeout_secs=2";
    for args in [
        &["store", "check"][..],
        &["agents", "ls"],
        &["doctor"],
        &["store", "copy", "env:KODE_STORE", "fs:./x"],
    ] {
        let output = with(url, dir.path(), args);
        let said = said(&output);
        assert!(!output.status.success() && said.contains("127.0.0.1:1/agents"), "{said}");
        assert!(!said.contains("hunter2") && !said.contains("anna"), "{said}");
    }
}
