//! More rights: capabilities, other users, programs that bring rights with them, limits raised.

use std::fs;
use std::process::Command;

use super::ground::{call, halves};
use crate::attempt::{Attempt, Outcome, absent, attempt, had, stopped, when};

const ROOT: &str = "rights of root's";
const OTHERS: &str = "rights of another user's";
const MORE: &str = "more than its share";
/// Says whose rights a program runs with.
pub(super) const WHO: &str = "who";

pub(super) const ATTEMPTS: &[Attempt] = &[
    attempt("have_capabilities", ROOT, |_| mask_is_set("CapEff")),
    attempt("have_permitted_capabilities", ROOT, |_| mask_is_set("CapPrm")),
    attempt("get_capabilities_back", ROOT, |_| {
        let mut header = halves(&[0x2008_0522, 0]);
        let mut wanted = halves(&[u32::MAX, u32::MAX, 0, u32::MAX, u32::MAX, 0]);
        let asked = call!(libc::SYS_capset, &mut header[..], &mut wanted[..]);
        if asked.is_err() {
            // All at once is more than even root may have had; one is enough.
            let mut one = halves(&[1 << 21, 1 << 21, 0, 0, 0, 0]);
            call!(libc::SYS_capset, &mut header[..], &mut one[..])?;
        }
        mask_is_set("CapEff")
    }),
    attempt("raise_ambient_capability", ROOT, |_| {
        let mut header = halves(&[0x2008_0522, 0]);
        let mut inherited = halves(&[1 << 21, 1 << 21, 1 << 21, 0, 0, 0]);
        call!(libc::SYS_capset, &mut header[..], &mut inherited[..])?;
        had(call!(libc::SYS_prctl, libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, 21, 0, 0)?)
    }),
    attempt("have_bounding_set", "capabilities by programs that have them", |_| mask_is_set("CapBnd")),
    attempt("gain_privileges_by_programs", "programs that bring rights with them", |_| {
        when(line_of("NoNewPrivs")? == "0", "they may")
    }),
    attempt("run_set_user_id_program", ROOT, |to| {
        if to.setuid.is_empty() {
            return absent("none could be made");
        }
        let said = Command::new(&to.setuid).arg(WHO).output()?.stdout;
        when(said.starts_with(b"0\n") && !rustix::process::getuid().is_root(), "it ran as root")
    }),
    attempt("become_root", ROOT, |_| {
        call!(libc::SYS_setuid, 0)?;
        when(rustix::process::geteuid().is_root(), "root")
    }),
    attempt("become_another_user", OTHERS, |_| had(call!(libc::SYS_setresuid, 54_321, 54_321, 54_321)?)),
    attempt("join_root_group", OTHERS, |_| {
        call!(libc::SYS_setgid, 0)?;
        when(rustix::process::getegid().is_root(), "root's group")
    }),
    attempt("join_another_group", OTHERS, |_| {
        let mut groups = halves(&[54_321]);
        had(call!(libc::SYS_setgroups, 1, &mut groups[..])?)
    }),
    attempt("change_file_system_user", OTHERS, |_| {
        call!(libc::SYS_setfsuid, 54_321)?;
        when(call!(libc::SYS_setfsuid, -1)? == 54_321, "another user for files")
    }),
    attempt("keep_capabilities_over_change", ROOT, |_| {
        mask_is_set("CapEff")?;
        had(call!(libc::SYS_prctl, libc::PR_SET_KEEPCAPS, 1, 0, 0, 0)?)
    }),
    attempt("change_security_bits", ROOT, |_| {
        had(call!(libc::SYS_prctl, libc::PR_SET_SECUREBITS, 0, 0, 0, 0)?)
    }),
    attempt("raise_file_limit", MORE, |_| {
        let (_, hard) = limits(libc::RLIMIT_NOFILE)?;
        raise(libc::RLIMIT_NOFILE, hard + 1)
    }),
    attempt("raise_process_limit", MORE, |_| {
        let (_, hard) = limits(libc::RLIMIT_NPROC)?;
        raise(libc::RLIMIT_NPROC, hard.checked_add(1).unwrap_or(hard))
    }),
    attempt("raise_memory_lock_limit", MORE, |_| {
        let (_, hard) = limits(libc::RLIMIT_MEMLOCK)?;
        raise(libc::RLIMIT_MEMLOCK, hard.checked_add(4096).unwrap_or(hard))
    }),
    attempt("write_core_files", "memory images in files", |_| {
        let (_, hard) = limits(libc::RLIMIT_CORE)?;
        when(hard > 0, "core files may be written")
    }),
    attempt("take_precedence", MORE, |_| {
        // The kernel tells 20 less the niceness; one step better than it is, whatever the server was started with.
        let niceness = 20 - call!(libc::SYS_getpriority, 0, 0)?;
        had(call!(libc::SYS_setpriority, 0, 0, niceness - 1)?)
    }),
    attempt("take_real_time", MORE, |_| {
        let mut priority = halves(&[1]);
        had(call!(libc::SYS_sched_setscheduler, 0, 1, &mut priority[..])?)
    }),
    attempt("take_deadline_time", MORE, |_| {
        let mut attributes = halves(&[48, 6]);
        attributes.extend(super::ground::words(&[0, 0, 1_000_000, 10_000_000, 10_000_000]));
        had(call!(libc::SYS_sched_setattr, 0, &mut attributes[..48], 0)?)
    }),
    attempt("take_disk_precedence", MORE, |_| had(call!(libc::SYS_ioprio_set, 1, 0, 1 << 13)?)),
    attempt("be_spared_when_memory_ends", MORE, |_| {
        fs::write("/proc/self/oom_score_adj", "-500")?;
        had("spared")
    }),
    attempt("turn_off_address_randomness", "weaker programs", |_| {
        had(call!(libc::SYS_personality, 0x0004_0000)?)
    }),
    attempt("map_page_zero_for_programs", "an old way into the kernel", |_| {
        had(call!(libc::SYS_personality, 0x0010_0000)?)
    }),
];

fn line_of(name: &str) -> Result<String, crate::attempt::Stop> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.map_or_else(|| stopped(format!("no {name}")), |value| Ok(value.trim().to_owned()))
}

fn mask_is_set(name: &str) -> Outcome {
    let mask = line_of(name)?;
    if mask.bytes().all(|digit| digit == b'0') { stopped("none") } else { had(mask) }
}

fn limits(of: u32) -> Result<(u64, u64), crate::attempt::Stop> {
    let mut found = [0; 16];
    call!(libc::SYS_prlimit64, 0, i64::from(of), 0, &mut found[..])?;
    let number = |at: usize| u64::from_ne_bytes(found[at..at + 8].try_into().unwrap_or_default());
    Ok((number(0), number(8)))
}

/// Without a limit there is nothing to raise: that is more than a share already.
fn raise(of: u32, to: u64) -> Outcome {
    let mut wanted = super::ground::words(&[to, to]);
    had(call!(libc::SYS_prlimit64, 0, i64::from(of), &mut wanted[..], 0)?)
}
