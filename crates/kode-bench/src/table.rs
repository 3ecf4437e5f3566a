//! The workloads of the contract, each in a process of its own against one stand-in, as a table; beside a peer if one
//! is named.

use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::median;

/// Runs of each; the middle one is told.
const ROUNDS: usize = 3;

/// One line of the table.
struct Row {
    name: &'static str,
    workload: &'static str,
    params: &'static [&'static str],
    /// What makes the directory ready, if it is not to be empty.
    before: Option<&'static [&'static str]>,
    /// The machine's own limit of the first figure: what measures it, with the same directory.
    limit: Option<(&'static str, &'static [&'static str])>,
    /// The figures that are told, each with what is to be reached.
    figures: &'static [(&'static str, &'static str)],
}

const W9: [(&str, &str); 5] = [
    ("lag_p50_ms", ""),
    ("lag_p99_ms", "≤ 50"),
    ("lag_max_ms", ""),
    ("questions_per_s", ""),
    ("questions_per_s_at_rest", ""),
];

const ROWS: [Row; 21] = [
    Row {
        name: "W1 create 10,000 agents",
        workload: "w1",
        params: &["agents=10000"],
        before: None,
        limit: Some(("names", &["agents=10000"])),
        figures: &[("agents_per_s", "≥ 2,000"), ("rss_kb_per_agent", "≤ 6")],
    },
    Row {
        name: "W1 create, one turn each",
        workload: "w1",
        params: &["agents=10000", "turns=1"],
        before: None,
        limit: None,
        figures: &[("rss_kb_per_agent", "≤ 12")],
    },
    Row {
        name: "W1 10,000 agents of 10 messages",
        workload: "w1",
        params: &["agents=10000", "turns=5"],
        before: None,
        limit: None,
        figures: &[("rss_kb_per_agent", "≤ 12")],
    },
    Row {
        name: "W2 turns, 1 agent",
        workload: "w2",
        params: &["c=1", "k=300"],
        before: None,
        limit: Some(("bare", &["c=1", "k=300"])),
        figures: &[("p50_ms", "≤ 1.0"), ("cpu_ms_per_turn", "≤ 0.6")],
    },
    Row {
        name: "W2 turns, 100 agents",
        workload: "w2",
        params: &["c=100", "k=30"],
        before: None,
        limit: Some(("bare", &["c=100", "k=30"])),
        figures: &[("turns_per_s", "≥ 3,500"), ("cpu_ms_per_turn", "≤ 0.45")],
    },
    Row {
        name: "W2 turns, 1,000 agents",
        workload: "w2",
        params: &["c=1000", "k=5"],
        before: None,
        limit: Some(("bare", &["c=1000", "k=5"])),
        figures: &[("turns_per_s", "≥ 2,500"), ("peak_rss_kb", "≤ 150,000")],
    },
    Row {
        name: "W2 at a model's pace, 800 streams",
        workload: "w2",
        params: &["c=800", "k=2", "d=20000"],
        before: None,
        limit: Some(("bare", &["c=800", "k=2", "d=20000"])),
        // Fifty pieces, 20 ms apart: 980 ms is the ideal.
        figures: &[("p99_ms", "≤ 1,127")],
    },
    Row {
        name: "W2 on redis, 100 agents",
        workload: "w2",
        params: &["c=100", "k=15", "store=redis"],
        before: None,
        limit: Some(("bare", &["c=100", "k=15"])),
        figures: &[("turns_per_s", "≥ 2,000"), ("cpu_ms_per_turn", "")],
    },
    Row {
        name: "W2 on postgres, 100 agents",
        workload: "w2",
        params: &["c=100", "k=15", "store=postgres"],
        before: None,
        limit: Some(("bare", &["c=100", "k=15"])),
        figures: &[("turns_per_s", ""), ("cpu_ms_per_turn", "")],
    },
    Row {
        name: "W3 tool turns, 100 agents",
        workload: "w3",
        params: &["c=100", "k=10"],
        before: None,
        limit: Some(("bare", &["c=100", "k=10", "asks=2"])),
        figures: &[("turns_per_s", "≥ 1,500"), ("cpu_ms_per_turn", "≤ 1")],
    },
    Row {
        name: "W4 turns at 5,000 messages",
        workload: "w4",
        // So many that a whole checkpoint or two is a small part of what they write.
        params: &["messages=5000", "turns=500"],
        before: None,
        limit: Some(("bare", &["c=1", "k=50"])),
        figures: &[("mean_ms", "≤ 3"), ("write_bytes_per_turn", "≤ 16,384")],
    },
    Row {
        name: "W5 resume of 10,000 messages",
        workload: "w5",
        params: &[],
        before: Some(&["prep", "messages=10000", "events=260000"]),
        limit: Some(("files", &[])),
        figures: &[("cold_ms", "≤ 15"), ("p50_ms", "≤ 15"), ("prepare_ms", "")],
    },
    Row {
        name: "W6 one agent, 1,000 readers",
        workload: "w6",
        params: &["subs=1000", "n=1000"],
        before: None,
        limit: Some(("channel", &["subs=1000", "n=1000"])),
        figures: &[("delivered_per_s", "≥ 15,000,000")],
    },
    Row {
        name: "W7 replay of about 100,000 events",
        workload: "w7",
        params: &[],
        before: Some(&["prep", "messages=2", "events=100000"]),
        limit: Some(("scan", &["events=100000"])),
        figures: &[("events_per_s", "≥ 1,000,000"), ("rss_growth_kb", "")],
    },
    Row {
        name: "W7 the last 100 of them",
        workload: "w7",
        params: &["last=100"],
        before: Some(&["prep", "messages=2", "events=100000"]),
        limit: None,
        figures: &[("first_ms", "≤ 1")],
    },
    Row {
        name: "W8 over HTTP, 100 users",
        workload: "w8",
        params: &["c=100", "k=30"],
        before: None,
        limit: Some(("bare", &["c=100", "k=30"])),
        figures: &[("turns_per_s", "≥ 2,500"), ("first_p50_ms", "≤ 25")],
    },
    Row {
        name: "W8 over HTTP, 1,000 users",
        workload: "w8",
        params: &["c=1000", "k=5"],
        before: None,
        limit: Some(("bare", &["c=1000", "k=5"])),
        figures: &[("turns_per_s", "≥ 2,000"), ("first_p50_ms", "≤ 250")],
    },
    Row {
        name: "W9 redis: 20 readers elsewhere",
        workload: "w9",
        params: &["store=redis", "wakes=1"],
        before: None,
        limit: None,
        figures: &W9,
    },
    Row {
        name: "W9 redis: 20 readers elsewhere, asking",
        workload: "w9",
        params: &["store=redis", "wakes=0"],
        before: None,
        limit: None,
        figures: &W9,
    },
    Row {
        name: "W9 postgres: 20 readers elsewhere",
        workload: "w9",
        params: &["store=postgres", "wakes=1"],
        before: None,
        limit: None,
        figures: &W9,
    },
    Row {
        name: "W9 postgres: 20 readers elsewhere, asking",
        workload: "w9",
        params: &["store=postgres", "wakes=0"],
        before: None,
        limit: None,
        figures: &W9,
    },
];

/// Measures what the filters name, all without any.
pub(crate) fn measure(peer: Option<&Path>, filters: &[String]) -> anyhow::Result<Value> {
    let own = std::env::current_exe()?;
    let stand_in = StandIn::start(&own)?;
    let mut report = Vec::new();
    for row in &ROWS {
        if !filters.is_empty() && !filters.iter().any(|filter| row.name.contains(filter.as_str())) {
            continue;
        }
        let places = Places::default();
        let ours = row.measure(&own, &stand_in.llm, &places)?;
        let theirs = peer.map(|peer| row.measure(peer, &stand_in.llm, &places)).transpose()?;
        if let Some(why) = ours["skipped"].as_str() {
            println!("{:<36} skipped: {why}", row.name);
            continue;
        }
        let limit = row.measure_limit(&own, &stand_in.llm, &places)?;
        for (figure, wanted) in row.figures {
            let value = number(&ours, figure);
            let beside = |what: &str, other: &Value| match number(other, figure) {
                other if other.is_nan() => String::new(),
                other => format!("  {what} {other:>12.2}, ratio {:.2}", value / other),
            };
            let limit = limit.as_ref().map(|limit| beside("limit", limit));
            let peer = theirs.as_ref().map(|theirs| beside("peer", theirs));
            let beside = [limit, peer].into_iter().flatten().collect::<String>();
            println!("{:<36} {figure:<22} {value:>14.2}  {wanted:<14}{beside}", row.name);
        }
        report.push(json!({ "row": row.name, "kode": ours, "limit": limit, "peer": theirs }));
    }
    Ok(Value::Array(report))
}

impl Row {
    /// The middle of some runs.
    fn measure(&self, program: &Path, llm: &str, places: &Places) -> anyhow::Result<Value> {
        self.middle(|| self.run(program, (self.workload, self.params), llm, places))
    }

    /// The same of the machine's own limit, in the same directory, where there is one.
    fn measure_limit(&self, own: &Path, llm: &str, places: &Places) -> anyhow::Result<Option<Value>> {
        self.limit.map(|limit| self.middle(|| self.run(own, limit, llm, places))).transpose()
    }

    /// By the first figure.
    fn middle(&self, run: impl Fn() -> anyhow::Result<Value>) -> anyhow::Result<Value> {
        let (first, _) = self.figures[0];
        let runs = (0..ROUNDS).map(|_| run()).collect::<anyhow::Result<Vec<_>>>()?;
        let middle = median(runs.iter().map(|run| number(run, first)).collect());
        let run = runs.iter().find(|run| number(run, first) == middle).or(runs.first());
        Ok(run.cloned().unwrap_or_default())
    }

    fn run(
        &self,
        program: &Path,
        (workload, params): (&str, &[&str]),
        llm: &str,
        places: &Places,
    ) -> anyhow::Result<Value> {
        let dir = places.another()?;
        if let Some([first, params @ ..]) = self.before {
            once(program, first, params, llm, &dir)?;
        }
        once(program, workload, params, llm, &dir)
    }
}

/// The directories of a row's runs, removed together in the end: a file system can be slow to give out again what the run
/// before has just freed (ext4 without a journal passes over each such inode for a minute).
#[derive(Default)]
struct Places(RefCell<Vec<TempDir>>);

impl Places {
    fn another(&self) -> anyhow::Result<PathBuf> {
        let dir = TempDir::new_in(quiet_place())?;
        let path = dir.path().to_owned();
        self.0.borrow_mut().push(dir);
        Ok(path)
    }
}

/// Where the disk is real: the temporary directory may be in memory, whose syncs cost nothing.
fn quiet_place() -> PathBuf {
    std::env::var_os("KODE_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from)
}

/// One run in a process of its own; its last line is its report.
fn once(program: &Path, workload: &str, params: &[&str], llm: &str, dir: &Path) -> anyhow::Result<Value> {
    // Over HTTP the load is always ours.
    let is_served = workload == "w8";
    let mut command = if is_served { Command::new(std::env::current_exe()?) } else { Command::new(program) };
    command.arg(workload).args(params).arg(format!("llm={llm}")).arg(format!("dir={}", dir.display()));
    if is_served {
        command.arg(format!("program={}", program.display()));
    }
    let output = command.stderr(Stdio::inherit()).output().context("the measured program does not start")?;
    anyhow::ensure!(output.status.success(), "{workload} {params:?} failed: {}", output.status);
    let text = String::from_utf8(output.stdout)?;
    Ok(serde_json::from_str(text.lines().last().context("the measured program said nothing")?)?)
}

fn number(run: &Value, figure: &str) -> f64 {
    run.get(figure).and_then(Value::as_f64).unwrap_or(f64::NAN)
}

/// The model's stand-in, in a process of its own, gone with this value.
struct StandIn {
    process: Child,
    llm: String,
}

impl StandIn {
    fn start(own: &Path) -> anyhow::Result<Self> {
        let mut process = Command::new(own).arg("standin").stdout(Stdio::piped()).spawn()?;
        let stdout = process.stdout.take().context("its output was asked for")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let ready: Value = serde_json::from_str(&line)?;
        let llm = ready["llm"].as_str().context("it tells its address")?.to_owned();
        Ok(Self { process, llm })
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
