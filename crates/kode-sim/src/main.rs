//! Lives through worlds and says what was broken: `kode-sim [FIRST_SEED] [COUNT]`. A world that breaks prints its seed
//! and the end of its history; the same seed breaks again in the same way.

use std::io::Write as _;
use std::process::ExitCode;

use kode_sim::census::Census;
use kode_sim::world::{Kind, Outcome, play};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Option<Vec<u64>> = words.iter().map(|word| word.parse().ok()).collect();
    match numbers.as_deref() {
        Some([]) => live(1, 200),
        Some([seed]) => live(*seed, 1),
        Some([seed, count]) => live(*seed, *count),
        Some(_) | None => {
            say("usage: kode-sim [FIRST_SEED] [COUNT]");
            ExitCode::FAILURE
        }
    }
}

fn live(first: u64, count: u64) -> ExitCode {
    let (mut sum, mut broken) = (Census::default(), 0);
    for seed in first..first.saturating_add(count) {
        let outcome = play(seed, Kind::Whole, &[]);
        sum += outcome.census;
        if outcome.violation.is_some() {
            broken += 1;
            tell(&outcome, count == 1);
        }
        if count == 1 {
            say(&format!("seed {seed}: history {:016x}", outcome.hash));
        }
    }
    say(&format!("{sum}\n{broken} violations"));
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell(outcome: &Outcome, whole: bool) {
    let Outcome { seed, violation: Some(violation), .. } = outcome else { return };
    if whole {
        outcome.end.iter().for_each(|line| say(line));
    }
    say(&format!("seed {seed}: {violation}\n  again: cargo xtask sim --seed {seed}"));
}

fn say(what: &str) {
    // Nobody may be listening.
    let _ = writeln!(std::io::stdout(), "{what}");
}
