//! Rules on code, as a table: what may not stand where, and what to do instead.

use crate::report::Finding;

use super::lexer::{Lexed, Part};
use super::tree::Tree;

/// One rule. A pattern stands for a path and all beneath it; `*` stands for the rest of one path segment.
struct Rule {
    name: &'static str,
    within: &'static [&'static str],
    except: &'static [&'static str],
    part: Part,
    /// Rust, matched by tokens.
    needles: &'static [&'static str],
    instead: &'static str,
}

const EVERYWHERE: &[&str] = &["crates", "xtask", "examples"];
const MACHINE: &[&str] = &["crates/kode-core/src/machine"];

const RULES: &[Rule] = &[
    Rule {
        name: "machine-is-pure",
        within: MACHINE,
        except: &[],
        part: Part::Whole,
        needles: &[
            "Instant",
            "SystemTime",
            "async",
            "await",
            "dyn",
            "futures",
            "futures_util",
            "rand",
            "std::env",
            "std::fs",
            "std::io",
            "std::net",
            "std::process",
            "std::sync::Mutex",
            "std::sync::RwLock",
            "std::thread",
            "std::time",
            "tokio",
            "tokio_util",
        ],
        instead: "the machine is told: pass the time, the choice or the result in as a value",
    },
    Rule {
        name: "machine-matches-exhaustively",
        within: MACHINE,
        except: &[],
        part: Part::Whole,
        needles: &["_ =>", "_ if", "(_, _) =>", "(_, _, _) =>"],
        instead: "name every variant, so that a new one must be thought of here",
    },
    Rule {
        name: "core-is-runtime-free",
        within: &["crates/kode-core/src"],
        // The asynchronous shell; a new file is below it until it is named here.
        except: &[
            "crates/kode-core/src/agent*",
            "crates/kode-core/src/driver*",
            "crates/kode-core/src/follow*",
            "crates/kode-core/src/ground*",
            "crates/kode-core/src/host*",
            "crates/kode-core/src/hub*",
            "crates/kode-core/src/live*",
            "crates/kode-core/src/opening*",
            "crates/kode-core/src/registry*",
            "crates/kode-core/src/runtime*",
            "crates/kode-core/src/store/wakes*",
            "crates/kode-core/src/supervise*",
            "crates/kode-core/src/system*",
        ],
        part: Part::Body,
        needles: &["tokio", "tokio_util"],
        instead: "below the driver nothing names a runtime: use std, futures traits, or move it up",
    },
    Rule {
        name: "core-touches-nothing",
        within: &["crates/kode-core/src"],
        except: &[],
        part: Part::Body,
        needles: &[
            "std::env",
            "std::fs",
            "std::net",
            "std::process",
            "tokio::fs",
            "tokio::net",
            "tokio::process",
        ],
        instead: "files, processes and sockets are behind ports, in a leaf",
    },
    Rule {
        name: "tools-use-the-sandbox",
        within: &["crates/kode-tools/src"],
        except: &[],
        part: Part::Body,
        needles: &["std::fs", "std::process", "tokio::fs", "tokio::process", "Command::new"],
        instead: "reach files and processes by the sandbox port only",
    },
    Rule {
        name: "unsafe-in-one-place",
        within: EVERYWHERE,
        except: &["crates/kode-sandbox/src/sys*"],
        part: Part::Whole,
        needles: &["unsafe"],
        instead: "use a safe wrapper such as rustix; only kode-sandbox's sys module may do without",
    },
    Rule {
        name: "nothing-left-undone",
        within: EVERYWHERE,
        except: &[],
        part: Part::Whole,
        needles: &["todo!", "unimplemented!", "dbg!"],
        instead: "finish it, or leave it out and say so",
    },
    Rule {
        name: "no-test-is-ignored",
        within: EVERYWHERE,
        except: &[],
        part: Part::Whole,
        needles: &["#[ignore", "ignore = \"\"]", ", ignore)]"],
        instead: "make it fast enough for every run, or scale its counts by KODE_SOAK",
    },
    Rule {
        name: "expect-not-allow",
        within: EVERYWHERE,
        except: &[],
        part: Part::Whole,
        needles: &["#[allow(", "#![allow("],
        instead: "use #[expect(lint, reason = \"…\")], which goes red when it is no longer needed",
    },
    Rule {
        name: "tests-do-not-sleep",
        within: EVERYWHERE,
        except: &[],
        part: Part::Tests,
        needles: &["thread::sleep", "thread::sleep_ms", "time::sleep", "time::sleep_until"],
        instead: "use paused time, a channel, or poll a condition",
    },
];

/// Every rule on every source file.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.rust_sources().flat_map(|(path, text)| check_file(path, text)).collect()
}

fn check_file(path: &str, text: &str) -> Vec<Finding> {
    let lexed = Lexed::new(path, text);
    let rules = RULES.iter().filter(|rule| rule.reaches(path));
    rules.flat_map(|rule| rule.broken_by(path, &lexed)).collect()
}

impl Rule {
    fn reaches(&self, path: &str) -> bool {
        let any = |patterns: &[&str]| patterns.iter().any(|pattern| matches(pattern, path));
        any(self.within) && !any(self.except)
    }

    fn broken_by(&self, path: &str, lexed: &Lexed<'_>) -> Vec<Finding> {
        let hits = self
            .needles
            .iter()
            .flat_map(|needle| lexed.find(needle, self.part).into_iter().map(move |line| (needle, line)));
        let message = |needle| format!("found `{needle}`: {}", self.instead);
        hits.map(|(needle, line)| Finding::new(path, line, self.name, message(needle))).collect()
    }
}

/// Whether the path is what the pattern stands for, or lies beneath it.
fn matches(pattern: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    pattern.split('/').all(|wanted| {
        segments.next().is_some_and(|segment| match wanted.strip_suffix('*') {
            Some(start) => segment.starts_with(start),
            None => segment == wanted,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rules that the planted file breaks, each with its line.
    fn broken(path: &str, text: &str) -> Vec<(&'static str, usize)> {
        check(&Tree::of(&[(path, text)])).into_iter().map(|finding| (finding.rule, finding.line)).collect()
    }

    const IN_MACHINE: &str = "crates/kode-core/src/machine/advance.rs";

    #[test]
    fn everything_impure_is_refused_in_the_machine() {
        for planted in [
            "use rand::random;",
            "use std::{collections::BTreeMap, time::Duration};",
            "async fn f() {}",
            "fn f() -> Instant { Instant::now() }",
            "fn f(x: SystemTime) {}",
            "fn f() { std::env::var(\"X\"); }",
            "use std::fs;",
            "use std::net::TcpStream;",
            "fn f(x: &dyn Model) {}",
        ] {
            let rules: Vec<_> = broken(IN_MACHINE, planted).into_iter().map(|(rule, _)| rule).collect();
            assert!(rules.contains(&"machine-is-pure"), "{planted}: {rules:?}");
        }
        assert_eq!(broken(IN_MACHINE, "//! No tokio, no async.\nfn f() { g(\"tokio\") }\n"), []);
    }

    #[test]
    fn tokio_is_refused_below_the_driver_and_welcome_in_it() {
        let text = "//! x\nuse tokio::sync::mpsc;\n";
        assert_eq!(broken(IN_MACHINE, text), [("machine-is-pure", 2), ("core-is-runtime-free", 2)]);
        assert_eq!(broken("crates/kode-core/src/store/memory.rs", text), [("core-is-runtime-free", 2)]);
        assert_eq!(broken("crates/kode-core/src/driver.rs", text), []);
        assert_eq!(broken("crates/kode-core/src/driver/mail.rs", text), []);
        assert_eq!(broken("crates/kode-pool/src/lib.rs", text), []);
    }

    #[test]
    fn a_wildcard_arm_is_refused_in_the_machine_only() {
        let text = "fn f(x: X) {\n    match x {\n        X::A => {}\n        _ => {}\n    }\n}\n";
        assert_eq!(broken(IN_MACHINE, text), [("machine-matches-exhaustively", 4)]);
        assert_eq!(
            broken(IN_MACHINE, &text.replace("_ =>", "_ if late =>")),
            [("machine-matches-exhaustively", 4)]
        );
        assert_eq!(
            broken(IN_MACHINE, &text.replace("_ =>", "(_, _) =>")),
            [("machine-matches-exhaustively", 4)]
        );
        assert_eq!(broken(IN_MACHINE, &text.replace("_ =>", "X::B(_) =>")), []);
        assert_eq!(broken(IN_MACHINE, &text.replace("_ =>", "(X::B, _) =>")), []);
        assert_eq!(broken("crates/kode-core/src/event.rs", text), []);
    }

    #[test]
    fn tools_reach_nothing_but_the_sandbox_outside_their_tests() {
        let text = "use std::fs;\nuse std::process::Command;\nfn f() { Command::new(X); }\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n";
        let expected = ["tools-use-the-sandbox"; 3].into_iter().zip([1, 2, 3]).collect::<Vec<_>>();
        assert_eq!(broken("crates/kode-tools/src/bash.rs", text), expected);
        assert_eq!(broken("crates/kode-store-fs/src/lib.rs", text), []);
    }

    #[test]
    fn unsafe_has_one_home() {
        let text = "fn f() { unsafe { g() } }\n#[expect(unsafe_code, reason = \"x\")]\nmod sys;\n";
        assert_eq!(broken("crates/kode-sandbox/src/lib.rs", text), [("unsafe-in-one-place", 1)]);
        assert_eq!(broken("crates/kode-sandbox/src/sys.rs", text), []);
        assert_eq!(broken("crates/kode-sandbox/src/sys/open.rs", text), []);
    }

    #[test]
    fn what_is_refused_everywhere() {
        for (planted, rule) in [
            ("fn f() { todo!() }", "nothing-left-undone"),
            ("fn f() { unimplemented!(\"later\") }", "nothing-left-undone"),
            ("fn f() { std::dbg!(1); }", "nothing-left-undone"),
            ("#[test]\n#[ignore]\nfn f() {}", "no-test-is-ignored"),
            ("#[test]\n#[ignore = \"slow\"]\nfn f() {}", "no-test-is-ignored"),
            ("#[cfg_attr(miri, ignore)]\nfn f() {}", "no-test-is-ignored"),
            ("#[allow(dead_code)]\nfn f() {}", "expect-not-allow"),
            ("#![allow(\n    dead_code\n)]", "expect-not-allow"),
        ] {
            let rules: Vec<_> =
                broken("crates/kode-pool/src/a.rs", planted).iter().map(|(rule, _)| *rule).collect();
            assert!(!rules.is_empty() && rules.iter().all(|found| *found == rule), "{planted}: {rules:?}");
        }
    }

    #[test]
    fn a_sleep_is_refused_in_tests_and_left_to_the_author_elsewhere() {
        let text = "async fn f() { tokio::time::sleep(d).await }\n#[cfg(test)]\nmod tests {\n    use tokio::time::{self, sleep};\n}\n";
        assert_eq!(broken("crates/kode-server/src/sse.rs", text), [("tests-do-not-sleep", 4)]);
        assert_eq!(
            broken("crates/kode-cli/tests/main.rs", "fn f() { std::thread::sleep(d) }"),
            [("tests-do-not-sleep", 1)]
        );
    }

    #[test]
    fn a_pattern_stands_for_a_path_and_all_beneath_it() {
        for (pattern, path, expected) in [
            ("crates/a/src", "crates/a/src/b/c.rs", true),
            ("crates/a/src", "crates/a/srcs/b.rs", false),
            ("crates/a/src/sys*", "crates/a/src/sys.rs", true),
            ("crates/a/src/sys*", "crates/a/src/sys_linux/x.rs", true),
            ("crates/*/src", "crates/a/src/x.rs", true),
            ("crates/a/src/x.rs", "crates/a/src", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }
}
