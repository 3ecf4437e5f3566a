//! The battery as a test: whatever gets out fails it, and so does a table that is no longer true.

use std::path::Path;

#[test]
fn g8_nothing_gets_out_and_the_gaps_of_each_level_are_those_that_are_published() {
    let program = Path::new(env!("CARGO_BIN_EXE_kode-escape"));
    let inside = Path::new(env!("CARGO_BIN_EXE_kode-escape-inside"));
    let matrix = kode_escape::battery::run_with(program, inside).expect("the battery runs");
    let faults = matrix.faults(&kode_escape::battery::published().expect("a table is published"));
    assert!(faults.is_empty(), "{}\n{}\n{}", matrix.table(), matrix.notes(), faults.join("\n"));
}
