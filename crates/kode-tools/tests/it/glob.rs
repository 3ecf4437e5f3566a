//! `fs_glob`.

use kode_testkit::workspace::MemoryWorkspace;
use serde_json::{Value, json};

use crate::support::{Stage, disk, over, stages};

const TREE: [(&str, &str); 8] = [
    ("Cargo.toml", ""),
    ("src/lib.rs", ""),
    ("src/a/mod.rs", ""),
    ("src/a/b.txt", ""),
    (".github/ci.yml", ""),
    (".env", ""),
    ("src/.hidden.rs", ""),
    ("z.rs", ""),
];

async fn found(stage: &Stage, input: Value) -> Vec<String> {
    let result = stage.ok("fs_glob", input).await;
    assert_eq!(result["truncated"], false);
    serde_json::from_value(result["matches"].clone()).unwrap()
}

#[tokio::test]
async fn patterns_match_paths_below_cwd_and_give_paths_from_the_work_directory() {
    for stage in stages(&TREE).await {
        let cases: [(Value, &[&str]); 9] = [
            (json!({"pattern": "**/*.rs"}), &["src/a/mod.rs", "src/lib.rs", "z.rs"]),
            (json!({"pattern": "*.rs"}), &["z.rs"]),
            (json!({"pattern": "./src/*.{rs,txt}"}), &["src/lib.rs"]),
            (json!({"pattern": "a/*", "cwd": "src"}), &["src/a/b.txt", "src/a/mod.rs"]),
            (json!({"pattern": "*.rs", "cwd": "./src/a/../"}), &["src/lib.rs"]),
            (
                json!({"pattern": "**/*.rs", "dot": true}),
                &["src/.hidden.rs", "src/a/mod.rs", "src/lib.rs", "z.rs"],
            ),
            (json!({"pattern": ".github/**"}), &[".github/ci.yml"]),
            (json!({"pattern": "src"}), &[]),
            (json!({"pattern": "[A-Z]*"}), &["Cargo.toml"]),
        ];
        for (input, wanted) in cases {
            assert_eq!(found(&stage, input.clone()).await, wanted, "{input} on {}", stage.name);
        }
    }
}

#[tokio::test]
async fn a_limit_is_said_to_have_cut() {
    for stage in stages(&TREE).await {
        let cut = json!({"matches": ["src/a/mod.rs"], "truncated": true});
        assert_eq!(stage.ok("fs_glob", json!({"pattern": "**/*.rs", "limit": 1})).await, cut);
    }
}

#[tokio::test]
async fn without_a_limit_there_are_two_hundred() {
    let work = (0..250).fold(MemoryWorkspace::new(), |work, n| work.with(&format!("{n:03}"), ""));
    let result = over(work).ok("fs_glob", json!({"pattern": "*"})).await;
    assert_eq!((result["matches"].as_array().unwrap().len(), &result["truncated"]), (200, &json!(true)));
}

#[tokio::test]
async fn gitignore_is_respected_unless_told() {
    let files =
        [(".gitignore", "*.log\n"), ("sub/.gitignore", "!keep.log\n"), ("a.log", ""), ("sub/keep.log", "")];
    let stage = disk(&files).await;
    assert_eq!(found(&stage, json!({"pattern": "**/*.log"})).await, ["sub/keep.log"]);
    let all = found(&stage, json!({"pattern": "**/*.log", "ignored": true})).await;
    assert_eq!(all, ["a.log", "sub/keep.log"]);
}

#[tokio::test]
async fn patterns_that_cannot_be_are_told_with_what_to_do() {
    for stage in stages(&TREE).await {
        for pattern in ["", "/etc/*", "../*", "src/../../*", "a[", "{a"] {
            assert_eq!(
                stage.refused("fs_glob", json!({"pattern": pattern})).await.0,
                "bad_pattern",
                "{pattern}"
            );
        }
        let (code, _) = stage.refused("fs_glob", json!({"pattern": "*", "cwd": "z.rs"})).await;
        assert_eq!(code, "wrong_kind");
        assert_eq!(stage.refused("fs_glob", json!({"pattern": "*", "cwd": "none"})).await.0, "not_found");
    }
}
