//! The sandbox's helper as a program of its own, for hosts that do not call `helper::enter` in their own `main`.

use std::process::ExitCode;

fn main() -> ExitCode {
    kode_sandbox::helper::run()
}
