//! Mutation testing of the machine: cargo-mutants changes one thing of it at a time, and the scenarios and properties
//! of kode-core must notice. Survivors are judged by people, in `docs/mutation.md`.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, ensure};

use crate::context::{Context, run as run_command};
use crate::needs;

/// What `mutants` is asked for.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these files of the machine, as `accept.rs` or `phase/round.rs`, or `elide.rs`; all without any.
    files: Vec<String>,
    /// Only every so manieth of the mutants: `0/4` is the first of each four.
    #[arg(long)]
    shard: Option<String>,
}

/// Where the machine lies, from the root.
const MACHINE: &str = "crates/kode-core/src/machine";
/// What lies beside it and is as pure: `elide.rs`, the fold of a journal's old pieces.
const BESIDE: &str = "crates/kode-core/src";
const ELIDE: &str = "elide.rs";
/// Where people judged the survivors.
const RECORD: &str = "docs/mutation.md";
/// Where cargo-mutants writes.
const OUT: &str = "target/mutants";
/// What it built stays here, for the next run.
const BUILT: &str = "target/mutants/build";
/// How many of a hundred mutants that compile must be caught.
const FLOOR: usize = 90;
/// Address space of one build or test, in KiB: a mutant that never rests is stopped before the machine suffers.
const MEMORY_KIB: u32 = 4 << 20;

/// Nextest's own way through the tests of a mutant, in `.config/nextest.toml`.
const PROFILE: &str = "mutants";

/// Of a mutant only the crate and the testkit are built and only the `machine` tests and the crate's unit tests run;
/// nextest ends at the first that fails. The tree itself stays as it is: cargo-mutants works on a copy.
const ALWAYS: &[&str] = &[
    "mutants",
    "--package=kode-core",
    "--no-config",
    "--jobs=1",
    "--test-tool=nextest",
    "--cargo-arg=--test=machine",
    "--cargo-arg=--lib",
    "--timeout=120",
    "--output",
    OUT,
];

/// Runs the mutants, prints how they fared and which survivors are new, and fails below the floor.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    for need in [&needs::NEXTEST, &needs::MUTANTS] {
        ensure!(need.ensure(context)?, "mutation testing needs {}", need.name);
    }
    std::fs::create_dir_all(context.root.join(OUT))?;
    // It fails when a mutant survives; whether too many do is told from what it wrote.
    let finished = run_command(&mut command(context, args));
    let fared =
        Fared::read(&context.root.join(OUT).join("mutants.out")).or_else(|why| finished.and(Err(why)))?;
    let record = std::fs::read_to_string(context.root.join(RECORD)).unwrap_or_default();
    println!("\n{}", fared.told(&record));
    fared.conclude()
}

fn command(context: &Context, args: &Args) -> std::process::Command {
    let cargo = context.cargo(ALWAYS);
    let limited = format!("ulimit -v {MEMORY_KIB} 2>/dev/null; exec \"$@\"");
    let mut command = context.command("sh", &["-c", &limited, "sh"]);
    command.arg(cargo.get_program()).args(cargo.get_args());
    let all = ["**/*.rs".to_owned(), ELIDE.to_owned()];
    let files = if args.files.is_empty() { &all[..] } else { &args.files };
    command.args(files.iter().map(|file| format!("--file={}/{file}", folder(file))));
    if let Some(shard) = &args.shard {
        // Its usual shards are slices: of four, the first would hold whole files and miss others.
        command.args([format!("--shard={shard}"), "--sharding=round-robin".to_owned()]);
    }
    // A failing test is the aim here: it must write no snapshot, and need not be made small.
    command.env("INSTA_UPDATE", "no").env("PROPTEST_MAX_SHRINK_ITERS", "0").env("RUST_BACKTRACE", "0");
    command.env("NEXTEST_PROFILE", PROFILE);
    // Nobody debugs a mutant, and without the tables it is built sooner; what it depends on is built once.
    command.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_TARGET_DIR", context.root.join(BUILT));
    command
}

/// Where a file that was asked for lies.
fn folder(file: &str) -> &'static str {
    if file == ELIDE { BESIDE } else { MACHINE }
}

/// How the mutants fared, by name.
#[derive(Debug, PartialEq, Eq)]
struct Fared {
    caught: usize,
    /// Without an end; a person's run would have been stopped too, so they count as caught.
    timeout: usize,
    unviable: usize,
    survivors: BTreeSet<String>,
}

impl Fared {
    fn read(out: &Path) -> anyhow::Result<Self> {
        let lines = |file: &str| -> anyhow::Result<Vec<String>> {
            let text = std::fs::read_to_string(out.join(file))
                .with_context(|| format!("cargo-mutants wrote no {file}"))?;
            Ok(text.lines().map(ToOwned::to_owned).collect())
        };
        Ok(Self {
            caught: lines("caught.txt")?.len(),
            timeout: lines("timeout.txt")?.len(),
            unviable: lines("unviable.txt")?.len(),
            survivors: lines("missed.txt")?.iter().map(|line| name(line)).collect(),
        })
    }

    /// The count, and the survivors that nobody has judged.
    fn told(&self, record: &str) -> String {
        let Self { caught, timeout, unviable, survivors } = self;
        let viable = caught + timeout + survivors.len();
        let new = survivors.iter().filter(|name| !record.contains(&format!("`{name}`")));
        let new: String = new.map(|name| format!("new survivor: {name}\n")).collect();
        format!(
            "{new}{viable} mutants compile: {caught} caught, {timeout} timed out, {} survived; {unviable} do not compile",
            survivors.len()
        )
    }

    fn conclude(&self) -> anyhow::Result<()> {
        let caught = self.caught + self.timeout;
        let viable = caught + self.survivors.len();
        ensure!(
            caught * 100 >= viable * FLOOR,
            "fewer than {FLOOR} % are caught: write the scenarios that the survivors lack, or judge them in {RECORD}"
        );
        Ok(())
    }
}

/// A mutant's name that outlives other changes of its file: without the path to the machine, the line and the column.
fn name(line: &str) -> String {
    let local = line.strip_prefix(MACHINE).or_else(|| line.strip_prefix(BESIDE));
    let local = local.map_or(line, |rest| rest.trim_start_matches('/'));
    match local.split_once(": ") {
        Some((place, what)) => format!("{}: {what}", place.split(':').next().unwrap_or(place)),
        None => local.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fared(caught: usize, survivors: &[&str]) -> Fared {
        let survivors = survivors.iter().map(ToString::to_string).collect();
        Fared { caught, timeout: 1, unviable: 2, survivors }
    }

    #[test]
    fn a_name_has_neither_line_nor_column() {
        let told = "crates/kode-core/src/machine/phase/round.rs:12:40: replace == with != in gate";
        assert_eq!(name(told), "phase/round.rs: replace == with != in gate");
        let nested =
            "crates/kode-core/src/machine/view.rs:9:5: replace View::of -> Self with Default::default()";
        assert_eq!(name(nested), "view.rs: replace View::of -> Self with Default::default()");
        let beside = "crates/kode-core/src/elide.rs:9:5: delete ! in Eliding::take";
        assert_eq!(name(beside), "elide.rs: delete ! in Eliding::take");
    }

    #[test]
    fn only_survivors_that_nobody_judged_are_told() {
        let some = fared(20, &["a.rs: known", "a.rs: other"]);
        let told = some.told("| `a.rs: known` | the same by reason |");
        assert_eq!(
            told,
            "new survivor: a.rs: other\n23 mutants compile: 20 caught, 1 timed out, 2 survived; 2 do not compile"
        );
    }

    #[test]
    fn below_the_floor_it_fails() {
        assert!(fared(8, &["a"]).conclude().is_ok());
        assert!(fared(7, &["a"]).conclude().is_err());
    }

    /// What is chosen, at the end of the command's words.
    fn chosen(files: &[&str], shard: Option<&str>) -> Vec<String> {
        let context = Context { root: ".".into(), ci: false };
        let files = files.iter().map(ToString::to_string).collect();
        let command = command(&context, &Args { files, shard: shard.map(ToOwned::to_owned) });
        let words = command.get_args().map(|word| word.to_string_lossy().into_owned());
        words.skip_while(|word| word != OUT).skip(1).collect()
    }

    #[test]
    fn files_and_shards_are_passed_on() {
        assert_eq!(
            chosen(&["phase/round.rs", "elide.rs"], Some("0/4")),
            [
                "--file=crates/kode-core/src/machine/phase/round.rs",
                "--file=crates/kode-core/src/elide.rs",
                "--shard=0/4",
                "--sharding=round-robin"
            ]
        );
        assert_eq!(
            chosen(&[], None),
            ["--file=crates/kode-core/src/machine/**/*.rs", "--file=crates/kode-core/src/elide.rs"]
        );
    }
}
