//! Checks which crate may depend on what: over cargo's metadata, over what is compiled, and over source text.

mod rules;

use std::collections::BTreeMap;

use crate::context::Context;
use crate::metadata::{Metadata, Package};
use crate::report::{Finding, conclude};
use crate::tidy::lexer::{Lexed, Part};
use crate::tidy::tree::Tree;

use rules::{CLOSURES, COMPOSITION, Closure, EDGES, Edges, LEAVES, OWNED};

/// Asks cargo, reads the sources and checks.
pub(crate) fn run(context: &Context) -> anyhow::Result<()> {
    let metadata = Metadata::load(context)?;
    let tree = Tree::load(&context.root)?;
    let mut findings = declared(&metadata);
    for closure in CLOSURES {
        findings.extend(compiled(closure, &context.read_cargo(&dependency_tree(closure.package))?));
    }
    findings.extend(named(&tree));
    conclude("layers", &format!("{} crates", metadata.members().count()), findings)
}

/// What the manifests declare.
fn declared(metadata: &Metadata) -> Vec<Finding> {
    metadata.members().flat_map(|package| edges(package).into_iter().chain(owned(package))).collect()
}

/// A crate uses only those of the workspace's crates that its row names.
fn edges(package: &Package) -> Vec<Finding> {
    let Some(row) = row_of(&package.name) else {
        let message = "has no row in EDGES (xtask/src/layers/rules.rs): say there what it may use";
        return vec![Finding::new(&package.name, 0, "edges", message)];
    };
    let used = package.shipped_dependencies().map(|dependency| dependency.name.as_str());
    let refused = used.filter(|name| row_of(name).is_some() && !row.may_use.contains(name));
    let message = |name| format!("depends on {name}, which it may not: {}", row.why);
    refused.map(|name| Finding::new(&package.name, 0, "edges", message(name))).collect()
}

fn row_of(package: &str) -> Option<&'static Edges> {
    EDGES.iter().find(|row| row.package == package)
}

/// A foreign crate that has owners is used by them alone.
fn owned(package: &Package) -> Vec<Finding> {
    let rule_of = |name: &str| OWNED.iter().find(|rule| rule.dependencies.contains(&name));
    let broken = package.shipped_dependencies().filter_map(|dependency| {
        let rule = rule_of(&dependency.name).filter(|rule| !rule.owners.contains(&package.name.as_str()))?;
        Some((dependency, rule))
    });
    let told = broken.map(|(dependency, rule)| {
        let owners = rule.owners.join(", ");
        let message = format!("depends on {}, which belongs to {owners}: {}", dependency.name, rule.why);
        Finding::new(&package.name, 0, "owned", message)
    });
    told.collect()
}

/// `cargo tree` and not the metadata's resolve graph: that one unifies features over the whole workspace, so
/// it would blame a crate for what another one switched on.
fn dependency_tree(package: &str) -> [&str; 9] {
    ["tree", "--package", package, "--target", "all", "--edges", "normal,build", "--prefix", "depth"]
}

/// What is compiled for one crate alone, out of lines such as `2hyper v1.0.0`: a depth and a crate.
fn compiled(closure: &Closure, tree: &str) -> Vec<Finding> {
    let mut path: Vec<&str> = Vec::new();
    let mut first_path = BTreeMap::new();
    for line in tree.lines() {
        let name_at = line.find(|c: char| !c.is_ascii_digit()).unwrap_or(line.len());
        let Ok(depth) = line[..name_at].parse::<usize>() else { continue };
        let name = line[name_at..].split(' ').next().unwrap_or_default();
        path.truncate(depth);
        path.push(name);
        if closure.without.contains(&name) {
            first_path.entry(name).or_insert_with(|| path.join(" -> "));
        }
    }
    let message = |path| format!("compiles {path}: {}", closure.why);
    first_path.into_values().map(|path| Finding::new(closure.package, 0, "closure", message(path))).collect()
}

/// A source file names only those of the workspace's crates that its own crate may use; test code is free.
fn named(tree: &Tree) -> Vec<Finding> {
    tree.rust_sources().flat_map(|(path, text)| named_in(path, text)).collect()
}

fn named_in(path: &str, text: &str) -> Vec<Finding> {
    let Some(own) = path.strip_prefix("crates/").and_then(|rest| rest.split_once("/src/")) else {
        return Vec::new();
    };
    let (Some(row), lexed) = (row_of(own.0), Lexed::new(path, text)) else { return Vec::new() };
    let refusals = EDGES.iter().filter_map(|other| refusal(row, other.package, path).map(|why| (other, why)));
    let found = refusals.flat_map(|(other, why)| {
        let lines = lexed.find(&other.package.replace('-', "_"), Part::Body);
        let message = format!("names {}, which it may not: {why}", other.package);
        lines.into_iter().map(move |line| Finding::new(path, line, "names", message.clone()))
    });
    found.collect()
}

/// Why the file at `path`, of the crate of `row`, may not name `other`.
fn refusal(row: &Edges, other: &str, path: &str) -> Option<&'static str> {
    if row.package == other || !other.starts_with("kode-") {
        return None;
    }
    if !row.may_use.contains(&other) {
        return Some(row.why);
    }
    let composes = row.package == "kode-cli" && LEAVES.contains(&other) && !path.starts_with(COMPOSITION);
    composes.then_some("leaves are named in one place, crates/kode-cli/src/compose")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A workspace of one package with these dependencies, each a name and a kind.
    fn workspace(package: &str, dependencies: &[(&str, Option<&str>)]) -> Metadata {
        let dependencies: Vec<_> =
            dependencies.iter().map(|(name, kind)| json!({ "name": name, "kind": kind })).collect();
        let package = json!({
            "id": "it", "name": package, "version": "0.1.0", "license": null, "source": null,
            "dependencies": dependencies,
        });
        Metadata::parse(&json!({ "packages": [package], "workspace_members": ["it"] }).to_string()).unwrap()
    }

    fn told(findings: &[Finding]) -> Vec<String> {
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_leaf_in_the_core_is_refused_and_a_dev_dependency_is_not() {
        let planted = [("kode-store-fs", None), ("kode-testkit", Some("dev")), ("serde", None)];
        let expected = "kode-core: [edges] depends on kode-store-fs, which it may not: \
                        the core knows no one; say it as a port";
        assert_eq!(told(&declared(&workspace("kode-core", &planted))), [expected]);
    }

    #[test]
    fn a_leaf_in_a_leaf_is_refused_also_as_a_build_dependency() {
        let findings = declared(&workspace("kode-tools", &[("kode-sandbox", Some("build"))]));
        assert_eq!(findings.len(), 1, "{findings:?}");
    }

    #[test]
    fn the_command_may_use_every_leaf_and_never_the_testkit() {
        let leaves: Vec<_> = LEAVES.iter().map(|leaf| (*leaf, None)).collect();
        assert_eq!(declared(&workspace("kode-cli", &leaves)), []);
        assert_eq!(declared(&workspace("kode-cli", &[("kode-testkit", None)])).len(), 1);
    }

    #[test]
    fn a_new_crate_must_be_placed() {
        let findings = declared(&workspace("kode-new", &[]));
        assert!(findings[0].message.starts_with("has no row in EDGES"), "{findings:?}");
    }

    #[test]
    fn an_owned_dependency_stays_with_its_owners() {
        let expected = "kode-pool: [owned] depends on axum, which belongs to kode-server: \
                        HTTP is served in one place";
        assert_eq!(told(&declared(&workspace("kode-pool", &[("axum", None)]))), [expected]);
        for (package, dependency) in [
            ("kode-core", "reqwest"),
            ("kode-server", "redis"),
            ("kode-cli", "sqlx"),
            ("kode-pool", "clap"),
            ("kode-server", "anyhow"),
        ] {
            assert_eq!(
                declared(&workspace(package, &[(dependency, None)])).len(),
                1,
                "{package} {dependency}"
            );
        }
        assert_eq!(declared(&workspace("kode-server", &[("axum", None), ("reqwest", None)])), []);
    }

    #[test]
    fn http_deep_in_the_cores_closure_is_refused_with_its_path() {
        let tree = "0kode-core v0.1.0 (here)\n1serde v1.0.0\n1helper v0.2.0\n2hyper v1.0.0\n3h2 v0.4.0\n1h2 v0.4.0 (*)\n";
        let expected = [
            "kode-core: [closure] compiles kode-core -> helper -> hyper -> h2: the core compiles no HTTP",
            "kode-core: [closure] compiles kode-core -> helper -> hyper: the core compiles no HTTP",
        ];
        assert_eq!(told(&compiled(&CLOSURES[0], tree)), expected);
        assert_eq!(compiled(&CLOSURES[0], "0kode-core v0.1.0 (here)\n1tokio v1.54.0\n"), []);
    }

    #[test]
    fn a_planted_import_of_a_leaf_is_refused_outside_tests_and_comments() {
        let text = "//! Not kode_store_fs.\nuse kode_store_fs::FsStore;\n\
                    #[cfg(test)]\nmod tests {\n    use kode_store_fs::FsStore;\n}\n";
        let places = |path| named_in(path, text).into_iter().map(|f| f.line).collect::<Vec<_>>();
        assert_eq!(places("crates/kode-core/src/agent.rs"), [2]);
        assert_eq!(places("crates/kode-tools/src/fs.rs"), [2]);
        assert_eq!(places("crates/kode-store-fs/src/lib.rs"), [0; 0]);
        assert_eq!(places("crates/kode-core/tests/main.rs"), [0; 0]);
    }

    #[test]
    fn the_command_names_leaves_in_its_composition_only() {
        let places = |path| named_in(path, "use kode_tools::all;\nuse kode_pool::Pool;\n").len();
        assert_eq!(places("crates/kode-cli/src/compose.rs"), 0);
        assert_eq!(places("crates/kode-cli/src/compose/store.rs"), 0);
        assert_eq!(places("crates/kode-cli/src/commands/serve.rs"), 1);
    }
}
