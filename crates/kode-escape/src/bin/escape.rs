//! Makes every attempt at every level as every kind of user, and prints the matrix. `--json` prints all that was told,
//! `--write` puts the table into the documentation; a run that is not as published fails.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    // The battery is a server like any other: its own program holds what it runs.
    kode_sandbox::helper::enter();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match *arguments.as_slice() {
        ["half", user, dir] => kode_escape::outside::run_half(user, Path::new(dir)).map(|()| Vec::new()),
        [] => kode_escape::battery::run().and_then(|matrix| show(&matrix, false)),
        ["--json"] => kode_escape::battery::run().and_then(|matrix| show(&matrix, true)),
        ["--write"] => kode_escape::battery::run().and_then(|matrix| write(&matrix)),
        _ => Err(std::io::Error::other("usage: kode-escape [--json | --write]")),
    };
    match outcome {
        Ok(faults) if faults.is_empty() => ExitCode::SUCCESS,
        Ok(faults) => {
            faults.iter().for_each(|fault| complain(fault));
            ExitCode::FAILURE
        }
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn complain(what: &str) {
    let _ = writeln!(std::io::stderr(), "error: {what}");
}

fn show(matrix: &kode_escape::matrix::Matrix, json: bool) -> std::io::Result<Vec<String>> {
    let text = if json { matrix.json()? } else { format!("{}\n{}", matrix.table(), matrix.notes()) };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(matrix.faults(&kode_escape::battery::published()?))
}

fn write(matrix: &kode_escape::matrix::Matrix) -> std::io::Result<Vec<String>> {
    kode_escape::battery::publish(matrix)?;
    show(matrix, false)
}
