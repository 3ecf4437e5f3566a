//! Random trees and random paths against a model of how a path is resolved beneath a root.
//!
//! The model is a dozen lines over a map and knows nothing of descriptors. A read must give exactly what the
//! model says: this file's content, outside, or an error that is neither.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;

use kode_core::sandbox::FileError;
use kode_testkit::rounds::cases;
use proptest::prelude::*;

use crate::support::{Host, SECRET};

/// How many links a path may go through, as in the kernel.
const LINKS_MAX: usize = 40;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    File,
    Directory,
    Link(String),
}

/// What a read comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Content(String),
    Outside,
    Refused,
}

type Tree = BTreeMap<String, Node>;

/// Where a path leads, one step at a time: `..` at the root and an absolute link are outside at once.
fn model(tree: &Tree, path: &str) -> Outcome {
    if path.starts_with('/') {
        return Outcome::Outside;
    }
    let (mut here, mut links) = (Vec::<String>::new(), 0);
    let mut todo: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
    while let Some(part) = todo.pop() {
        let node = tree.get(&here.join("/")).unwrap_or(&Node::Directory);
        match part.as_str() {
            _ if *node != Node::Directory => return Outcome::Refused,
            "" | "." => continue,
            ".." if here.pop().is_none() => return Outcome::Outside,
            ".." => continue,
            name => here.push(name.to_owned()),
        }
        match tree.get(&here.join("/")) {
            None => return Outcome::Refused,
            Some(Node::File | Node::Directory) => {}
            Some(Node::Link(target)) => {
                links += 1;
                here.pop();
                if links > LINKS_MAX {
                    return Outcome::Refused;
                }
                if target.starts_with('/') {
                    return Outcome::Outside;
                }
                todo.extend(target.split('/').rev().map(str::to_owned));
            }
        }
    }
    match tree.get(&here.join("/")) {
        Some(Node::File) => Outcome::Content(here.join("/")),
        Some(Node::Directory | Node::Link(_)) | None => Outcome::Refused,
    }
}

/// Makes the tree on disk; each file's content is its own path. Gives what was made.
fn plant(host: &Host, wanted: &[(String, Node)]) -> Tree {
    let mut tree = Tree::new();
    for (path, node) in wanted {
        let parent = path.rsplit_once('/').map(|(parent, _)| parent);
        let parent_is_there = parent.is_none_or(|p| tree.get(p) == Some(&Node::Directory));
        if tree.contains_key(path) || !parent_is_there {
            continue;
        }
        match node {
            Node::File => fs::write(host.at(path), path).unwrap(),
            Node::Directory => fs::create_dir(host.at(path)).unwrap(),
            Node::Link(target) => symlink(target, host.at(path)).unwrap(),
        }
        tree.insert(path.clone(), node.clone());
    }
    tree
}

async fn outcome(host: &Host, path: &str) -> Outcome {
    match host.read(path).await {
        Ok(content) => {
            assert_ne!(content, SECRET, "{path}");
            Outcome::Content(String::from_utf8(content).unwrap())
        }
        Err(FileError::Outside(_)) => Outcome::Outside,
        Err(_) => Outcome::Refused,
    }
}

/// A path of steps that mean something in small trees.
fn path() -> impl Strategy<Value = String> {
    let step = prop_oneof![
        6 => prop::sample::select(vec!["a", "b", "c", "d"]),
        3 => Just(".."),
        1 => prop::sample::select(vec![".", "", "..a", "secret", "outside", "user:1"]),
    ];
    prop::collection::vec(step, 1..7)
        .prop_map(|steps| steps.join("/"))
        .prop_filter("an empty path is refused before", |path| !path.is_empty())
}

fn nodes() -> impl Strategy<Value = Vec<(String, Node)>> {
    let place = prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "d"]), 1..4);
    let node = prop_oneof![
        2 => Just(Node::File),
        3 => Just(Node::Directory),
        3 => path().prop_map(Node::Link),
        1 => Just(Node::Link("../../outside/secret".into())),
    ];
    prop::collection::vec((place.prop_map(|place| place.join("/")), node), 4..28).prop_map(|mut nodes| {
        nodes.sort_by_key(|(path, _)| path.len());
        nodes
    })
}

#[test]
fn g8_a_read_succeeds_exactly_where_the_model_says_that_the_file_lies_beneath() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let cases = cases("paths against a model", 120, 20_000);
    let paths = prop::collection::vec(path(), 60);
    proptest!(ProptestConfig::with_cases(cases), |(nodes in nodes(), paths in paths)| {
        runtime.block_on(async {
            let host = Host::new().await;
            let tree = plant(&host, &nodes);
            for path in &paths {
                assert_eq!(outcome(&host, path).await, model(&tree, path), "{path:?} in {tree:#?}");
            }
        });
    });
}
