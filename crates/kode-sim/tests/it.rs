//! Worlds of several nodes, one after another: what must hold holds in each, a seed decides all of it, and stores
//! that lack a check are found out.

use kode_sim::census::Census;
use kode_sim::world::{Kind, Outcome, play};
use kode_testkit::rounds::rounds;
use kode_testkit::sim::unfenced::Lack;
use kode_testkit::sim::watch::Rule;

/// Within so many worlds a store that lacks a check is found out.
const FEW: u64 = 8;

#[test]
fn g1_g3_g4_g5_g6_hold_in_simulated_worlds_of_failing_nodes() {
    let mut sum = Census::default();
    for seed in 1..=rounds("simulated worlds", 28, 250) {
        let outcome = play(seed, Kind::Whole, &[]);
        let end = || outcome.end.join("\n");
        assert_eq!(outcome.violation, None, "again: cargo xtask sim --seed {seed}\n{}", end());
        sum += outcome.census;
    }
    println!("{sum}");
    let (faults, sights) = (sum.faults, sum.sights);
    let least = sum.worlds * 2;
    assert!(faults.partitions.min(faults.pauses).min(faults.crashes) > least, "little went wrong: {sum}");
    assert!(sights.tools.min(sights.decisions).min(sights.acknowledged) > least, "little was done: {sum}");
}

#[test]
fn the_same_seed_gives_the_same_history_and_another_gives_another() {
    let history = |seed| play(seed, Kind::Whole, &[]).hash;
    for seed in 101..=103 {
        let first = history(seed);
        assert_eq!(first, history(seed), "seed {seed} depends on something else");
        assert_ne!(first, history(seed + 1_000));
    }
}

/// The first world in which something is broken.
fn found_out(kind: Kind, blind: &[Rule]) -> Outcome {
    let mut worlds = (1..=FEW).map(|seed| play(seed, kind, blind));
    worlds.find(|world| world.violation.is_some()).expect("the store lacks a check, and nothing was noticed")
}

#[test]
fn g5_a_store_that_does_not_look_at_the_epoch_is_found_out() {
    let found = found_out(Kind::Unfenced(Lack::Epoch), &[]);
    let violation = found.violation.clone().expect("it was found out");
    assert_eq!(violation.rule, Rule::Epochs, "{violation}");
    let again = play(found.seed, Kind::Unfenced(Lack::Epoch), &[]);
    assert_eq!(again.violation, Some(violation), "the same seed breaks again in the same way");
}

/// Whoever does not look at the store's books sees it outside: a tool happens twice, or something is told twice.
#[test]
fn g3_g4_a_store_that_takes_any_append_doubles_what_happens_outside() {
    let books = [Rule::Epochs, Rule::Journals, Rule::Cursors, Rule::Decisions, Rule::Prompts];
    let found = found_out(Kind::Unfenced(Lack::Everything), &books);
    let violation = found.violation.expect("it was found out");
    let outside = [Rule::Tools, Rule::Messages, Rule::Readers, Rule::Answers];
    assert!(outside.contains(&violation.rule), "{violation}");
}
