//! What attempts are made of: system calls by number, forks, files.

use std::ffi::CString;
use std::time::Duration;

use crate::attempt::{Outcome, Stop, had, stopped};
use crate::targets::SECRET;

/// Makes a system call with arguments of any kind.
macro_rules! call {
    ($number:expr $(, $word:expr)* $(,)?) => {
        kode_sandbox::raw::call($number, &mut [$(kode_sandbox::raw::Word::from($word)),*])
    };
}
pub(super) use call;

/// Waits a little.
pub(super) fn pause(time: Duration) {
    let time = rustix::thread::Timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() };
    let _ = rustix::thread::nanosleep(&time);
}

pub(super) fn text(text: &str) -> Result<CString, Stop> {
    Ok(CString::new(text)?)
}

/// Had, where bytes hold the secret.
pub(super) fn secret(bytes: &[u8]) -> Outcome {
    let held = bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
    if held { had("the secret") } else { stopped("not the secret") }
}

/// Reads a whole file that holds the secret.
pub(super) fn read(path: &str) -> Outcome {
    secret(&std::fs::read(path)?)
}

/// Words of native size in a buffer.
pub(super) fn words(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_ne_bytes()).collect()
}

pub(super) fn halves(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_ne_bytes()).collect()
}

/// Where a buffer is, as the kernel is told in other buffers.
pub(super) fn place(bytes: &[u8]) -> u64 {
    bytes.as_ptr() as u64
}

pub(super) fn pidfd(process: i32) -> Result<i64, Stop> {
    Ok(call!(libc::SYS_pidfd_open, process, 0)?)
}

/// Had, unless a filter or a right is what stops the call: an argument that is wrong on purpose is judged behind them.
pub(super) fn reaches_kernel(answer: rustix::io::Result<i64>) -> Outcome {
    use rustix::io::Errno;
    match answer {
        Err(error @ (Errno::PERM | Errno::ACCESS)) => Err(error.into()),
        // A filter says so too, so the outside has to know whether the kernel has the call.
        Err(error @ Errno::NOSYS) => Err(error.into()),
        Ok(_) => had("it was done"),
        Err(error) => had(format!("the kernel judged its arguments: {error}")),
    }
}
