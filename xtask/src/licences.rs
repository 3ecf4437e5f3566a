//! Licences, banned crates and sources of everything that the workspace depends on.
//!
//! Licences and sources are judged over cargo's metadata, for every platform. Bans are judged over
//! `cargo tree`, which knows the features: the metadata also lists optional dependencies that no build compiles.

use std::collections::BTreeSet;

use crate::context::Context;
use crate::metadata::{Metadata, Package};
use crate::report::{Finding, conclude};
use crate::spdx::Expression;

/// Licences that ask for no more than their notice.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "OpenSSL",
    "Unicode-3.0",
    "Zlib",
];

/// A crate that no build may compile.
struct Ban {
    name: &'static str,
    instead: &'static str,
}

const BANS: &[Ban] = &[
    Ban { name: "ring", instead: "one crypto provider only, or rustls panics at run time: use aws-lc-rs" },
    Ban { name: "openssl-sys", instead: "no system library: use rustls with aws-lc-rs" },
    Ban { name: "native-tls", instead: "no system library: use rustls with aws-lc-rs" },
    Ban { name: "libsqlite3-sys", instead: "the stores are files, redis and postgres" },
    Ban { name: "rusqlite", instead: "the stores are files, redis and postgres" },
];

/// Asks cargo and checks.
pub(crate) fn run(context: &Context) -> anyhow::Result<()> {
    let metadata = Metadata::load(context)?;
    let tree = context.read_cargo(&COMPILED)?;
    let mut findings: Vec<_> = metadata.foreign().flat_map(judge).collect();
    findings.extend(banned(&tree));
    let checked = format!("{} dependencies", metadata.foreign().count());
    conclude("licences", &checked, findings)
}

/// Every crate that some build of the workspace compiles, one a line.
const COMPILED: [&str; 8] = ["tree", "--workspace", "--target", "all", "--edges", "all", "--prefix", "none"];

/// What is wrong with one dependency.
fn judge(package: &Package) -> Vec<Finding> {
    licence_problem(package).into_iter().chain(source_problem(package)).collect()
}

fn licence_problem(package: &Package) -> Option<Finding> {
    let message = match package.license.as_deref().map(Expression::parse) {
        None => "names no licence: depend on something else".to_owned(),
        Some(Err(error)) => format!("{error:#}"),
        Some(Ok(expression)) if expression.satisfied_by(ALLOWED) => return None,
        Some(Ok(_)) => format!(
            "'{}' is not satisfied by the allow-list: depend on something else, or add the licence to ALLOWED",
            package.license.as_deref().unwrap_or_default()
        ),
    };
    Some(Finding::new(&named(package), 0, "licence", message))
}

fn source_problem(package: &Package) -> Option<Finding> {
    let message = match package.source.as_deref() {
        Some(source) if source.starts_with("registry+") => return None,
        Some(source) => format!("comes from {source}: use a published version"),
        None => "comes from a path outside the workspace: use a published version".to_owned(),
    };
    Some(Finding::new(&named(package), 0, "source", message))
}

fn named(package: &Package) -> String {
    format!("{} {}", package.name, package.version)
}

/// Which banned crates are among the lines of `cargo tree --prefix none`.
fn banned(tree: &str) -> Vec<Finding> {
    let compiled: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    let found = BANS.iter().filter(|ban| compiled.contains(ban.name));
    let message = |ban: &Ban| format!("{} (`cargo tree -i {}` says who wants it)", ban.instead, ban.name);
    found.map(|ban| Finding::new(ban.name, 0, "ban", message(ban))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(license: Option<&str>, source: Option<&str>) -> Package {
        let json = serde_json::json!({
            "id": "x", "name": "x", "version": "1.0.0", "dependencies": [], "license": license, "source": source,
        });
        serde_json::from_value(json).unwrap()
    }

    fn rules(license: Option<&str>, source: Option<&str>) -> Vec<&'static str> {
        judge(&package(license, source)).iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn only_allowed_licences_from_a_registry_pass() {
        let registry = Some("registry+https://github.com/somewhere");
        assert_eq!(rules(Some("MIT OR GPL-3.0-only"), registry), [""; 0]);
        assert_eq!(rules(Some("GPL-3.0-only"), registry), ["licence"]);
        assert_eq!(rules(None, registry), ["licence"]);
        assert_eq!(rules(Some("MIT OR"), registry), ["licence"]);
        assert_eq!(rules(Some("MIT"), Some("git+https://github.com/a/b#1234")), ["source"]);
        assert_eq!(rules(Some("MIT"), None), ["source"]);
    }

    #[test]
    fn a_planted_ring_is_refused_and_a_namesake_is_not() {
        let names = |tree| banned(tree).into_iter().map(|finding| finding.place).collect::<Vec<_>>();
        assert_eq!(names("kode-core v0.1.0 (here)\nring v0.17.14\nserde v1.0.0"), ["ring"]);
        assert_eq!(names("ringbuffer v0.1.0\nstring v0.1.0"), [""; 0]);
    }
}
