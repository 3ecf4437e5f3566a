//! What is put into the sandbox: makes the attempts that it is told, each in a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    kode_escape::inside::main()
}
