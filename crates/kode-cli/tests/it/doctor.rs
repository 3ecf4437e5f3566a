//! `kode doctor`, run as an operator runs it.

use std::process::{Command, Output};

use serde_json::Value;

fn doctor(dir: &std::path::Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kode"));
    command.arg("doctor").args(arguments).current_dir(dir).env_remove("ZHIPUAI_API_KEY");
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn g8_the_doctor_tries_every_level_out_and_says_what_it_found() {
    let dir = tempfile::tempdir().unwrap();
    let output = doctor(dir.path(), &["--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let strict = &found["sandbox"]["strict"];
    assert!(["isolated", "metered"].contains(&strict["level"].as_str().unwrap()), "{strict}");
    assert!(strict["probes"].as_object().unwrap().values().all(|stopped| stopped == true), "{strict}");
    assert_eq!(found["sandbox"]["none"]["probes"]["read_outside"], false, "the attempts have teeth");
    assert_eq!(found["store"]["ok"], true);
    assert_eq!(found["model"]["ok"], false, "there is no key");
    let told = text(&doctor(dir.path(), &[]).stdout);
    assert!(
        told.contains("stopped   read_server_environment") && told.contains("model: no model key"),
        "{told}"
    );
}

#[test]
fn g8_a_layer_that_is_left_out_is_named_and_strict_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for layer in ["hygiene", "rlimits", "namespaces", "landlock", "seccomp"] {
        let output = doctor(dir.path(), &["--without", layer]);
        assert_eq!(output.status.code(), Some(1), "{layer}");
        assert!(text(&output.stdout).contains(&format!("NO  {layer}")), "{}", text(&output.stdout));
        assert!(text(&output.stderr).contains("strict cannot be had"), "{}", text(&output.stderr));
    }
    let output = doctor(dir.path(), &["--without", "walls"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("landlock"), "{}", text(&output.stderr));
}
