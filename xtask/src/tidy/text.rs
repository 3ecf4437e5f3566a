//! Rules on the text of every file, prose included: no registry hosts, nothing that looks like a secret.

use crate::report::Finding;

use super::tree::Tree;

/// Hosts of the well-known package registries, in pieces so that this table does not name them.
const REGISTRY_HOSTS: &[&[&str]] = &[
    &["crates", ".io"],
    &["pypi", ".org"],
    &["pythonhosted", ".org"],
    &["deb.debian", ".org"],
    &["security.debian", ".org"],
    &["npmjs", ".org"],
    &["npmjs", ".com"],
];

/// Every rule on every line.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let hosts: Vec<String> = REGISTRY_HOSTS.iter().map(|pieces| pieces.concat()).collect();
    tree.files().flat_map(|(path, text)| check_file(path, text, &hosts)).collect()
}

fn check_file(path: &str, text: &str, hosts: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        if names_host(line, hosts) && !is_lock_line(path, line) {
            let message = "names a package registry's host: say the package, its client knows the place";
            findings.push(Finding::new(path, number, "registry-host", message));
        }
        if holds_key(line) {
            let message = "looks like an API key: revoke it if it is one, else build it from pieces";
            findings.push(Finding::new(path, number, "secret", message));
        }
    }
    findings
}

fn names_host(line: &str, hosts: &[String]) -> bool {
    hosts.iter().any(|host| line.contains(host.as_str()))
}

/// Cargo's own way of saying where a locked crate is from.
fn is_lock_line(path: &str, line: &str) -> bool {
    path.ends_with("Cargo.lock") && line.starts_with("source = \"registry+https://github.com/")
}

/// A GLM key: 32 lower-case hexadecimal digits, a dot, 16 letters or digits.
fn holds_key(line: &str) -> bool {
    let bytes = line.as_bytes();
    let is_hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    let looks = |window: &[u8]| {
        window[..32].iter().all(is_hex)
            && window[32] == b'.'
            && window[33..].iter().all(u8::is_ascii_alphanumeric)
    };
    bytes.windows(32 + 1 + 16).any(looks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(path: &str, text: &str) -> Vec<(&'static str, usize)> {
        check(&Tree::of(&[(path, text)])).into_iter().map(|finding| (finding.rule, finding.line)).collect()
    }

    #[test]
    fn a_registry_host_is_refused_in_prose_too() {
        for pieces in REGISTRY_HOSTS {
            let text = format!("# Install\nfrom https://index.{}/x\n", pieces.concat());
            assert_eq!(broken("docs/install.md", &text), [("registry-host", 2)], "{pieces:?}");
        }
        assert_eq!(broken("docs/install.md", "`cargo install kode-cli`, or pip, npm and apt-get\n"), []);
    }

    #[test]
    fn the_lock_files_own_lines_may_say_where_a_crate_is_from() {
        let source = format!(
            "source = \"registry+https://github.com/rust-lang/{}-index\"\n",
            REGISTRY_HOSTS[0].concat()
        );
        assert_eq!(broken("Cargo.lock", &source), []);
        assert_eq!(broken("docs/a.md", &source), [("registry-host", 1)]);
    }

    #[test]
    fn what_looks_like_a_key_is_refused() {
        let (id, secret) = ("0123456789abcdef".repeat(2), "Abcdef0123456789");
        assert_eq!(broken(".env.example", &format!("\nKEY={id}.{secret}\n")), [("secret", 2)]);
        assert_eq!(broken("a.md", &format!("{id}.{}", &secret[1..])), []);
        assert_eq!(broken("a.md", &format!("{}.{secret}", &id[1..])), []);
        assert_eq!(broken("a.md", &format!("{}.{secret}", id.to_uppercase())), []);
    }
}
