//! Doors into the kernel: calls that no tool of an agent's needs, and other ways to make a call.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::ground::{call, halves, place, reaches_kernel, secret, text, words};
use crate::attempt::{Attempt, Outcome, absent, attempt, had, stopped, when};
use crate::targets::{SECRET, Targets};

const DOOR: &str = "a wide door into the kernel";
const MACHINE: &str = "the machine itself";
const PAST: &str = "calls past the filter";
const LOG: &str = "the kernel's log, with addresses";

pub(super) const ATTEMPTS: &[Attempt] = &[
    attempt("read_by_ring", "another's files, by calls that no filter sees", by_ring),
    attempt("set_up_ring", DOOR, |_| {
        let mut parameters = [0; 120];
        had(call!(libc::SYS_io_uring_setup, 1, &mut parameters[..])?)
    }),
    attempt("make_map_in_kernel", DOOR, |_| {
        // An array of one entry.
        let mut attributes = halves(&[2, 4, 4, 1]);
        attributes.resize(128, 0);
        had(call!(libc::SYS_bpf, 0, &mut attributes[..], 128)?)
    }),
    attempt("load_program_into_kernel", DOOR, |_| {
        // Sets the result to 0 and returns: a filter for a socket.
        let mut program = words(&[0x0000_0000_0000_00b7, 0x0000_0000_0000_0095]);
        let licence = text("GPL")?;
        let mut attributes = halves(&[1, 2]);
        attributes.extend(words(&[place(&program), licence.as_ptr() as u64]));
        attributes.resize(128, 0);
        let loaded = call!(libc::SYS_bpf, 5, &mut attributes[..], 128)?;
        program.clear();
        had(loaded)
    }),
    attempt("handle_page_faults", DOOR, |_| had(call!(libc::SYS_userfaultfd, 1)?)),
    attempt("handle_kernel_page_faults", DOOR, |_| had(call!(libc::SYS_userfaultfd, 0)?)),
    attempt("change_segments", DOOR, |_| {
        let mut table = [0; 64];
        had(call!(libc::SYS_modify_ldt, 0, &mut table[..], 64)?)
    }),
    attempt("watch_whole_machine", DOOR, |_| had(call!(libc::SYS_fanotify_init, 0, 0)?)),
    attempt("read_kernel_log", LOG, |_| {
        let mut text = vec![0; 4096];
        had(call!(libc::SYS_syslog, 3, &mut text[..], 4096)?)
    }),
    attempt("measure_kernel_log", LOG, |_| had(call!(libc::SYS_syslog, 10, 0, 0)?)),
    attempt("load_module", MACHINE, |_| {
        let mut image = [0; 64];
        let options = text("")?;
        known(call!(libc::SYS_init_module, &mut image[..], 64, options.as_c_str()))
    }),
    attempt("remove_module", MACHINE, |_| {
        let name = text("kode-no-such-module")?;
        known(call!(libc::SYS_delete_module, name.as_c_str(), 0))
    }),
    attempt("load_kernel", MACHINE, |_| known(call!(libc::SYS_kexec_load, 0, 17, 0, 0))),
    attempt("restart_machine", MACHINE, |_| known(call!(libc::SYS_reboot, 1, 2, 3, 0))),
    attempt("add_swap", MACHINE, |_| {
        let path = text("/kode-no-such-swap")?;
        known(call!(libc::SYS_swapon, path.as_c_str(), 0))
    }),
    attempt("remove_swap", MACHINE, |_| {
        let path = text("/kode-no-such-swap")?;
        known(call!(libc::SYS_swapoff, path.as_c_str()))
    }),
    attempt("account_processes", MACHINE, |_| {
        let path = text("/kode-no-such-account")?;
        known(call!(libc::SYS_acct, path.as_c_str()))
    }),
    attempt("change_clock", MACHINE, |_| {
        // The frequency is set to what it is.
        let mut state = [0; 208];
        call!(libc::SYS_adjtimex, &mut state[..])?;
        state[..4].copy_from_slice(&2_u32.to_ne_bytes());
        had(call!(libc::SYS_adjtimex, &mut state[..])?)
    }),
    attempt("change_clock_by_id", MACHINE, |_| {
        let mut state = [0; 208];
        call!(libc::SYS_clock_adjtime, 0, &mut state[..])?;
        state[..4].copy_from_slice(&2_u32.to_ne_bytes());
        had(call!(libc::SYS_clock_adjtime, 0, &mut state[..])?)
    }),
    attempt("change_host_name", MACHINE, |_| {
        let name = rustix::system::uname().nodename().to_bytes().to_vec();
        let mut own = name.clone();
        had(call!(libc::SYS_sethostname, &mut own[..], name.len() as i64)?)
    }),
    attempt("change_domain_name", MACHINE, |_| {
        let name = rustix::system::uname().domainname().to_bytes().to_vec();
        let mut own = name.clone();
        had(call!(libc::SYS_setdomainname, &mut own[..], name.len() as i64)?)
    }),
    attempt("reach_ports_of_devices", MACHINE, |_| known(call!(libc::SYS_iopl, 3))),
    attempt("reach_one_port_of_devices", MACHINE, |_| known(call!(libc::SYS_ioperm, 0x80, 1, 1))),
    attempt("call_as_32_bit", PAST, |_| compatible(&I386)),
    attempt("call_with_x32_number", PAST, |_| match call!(0x4000_0000 + libc::SYS_getpid) {
        Ok(pid) => had(pid),
        Err(rustix::io::Errno::NOSYS) => absent("this kernel has no such calls, or a filter says so"),
        Err(error) => Err(error.into()),
    }),
    attempt("open_with_flags_in_memory", PAST, |_| match call!(libc::SYS_openat2, -1, 0, 0, 0) {
        Err(rustix::io::Errno::NOSYS) => stopped("no such call"),
        answer => reaches_kernel(answer),
    }),
];

/// As `reaches_kernel`, for calls that a kernel may be built without.
fn known(answer: rustix::io::Result<i64>) -> Outcome {
    match answer {
        Err(rustix::io::Errno::NOSYS) => absent("this kernel has no such call"),
        answer => reaches_kernel(answer),
    }
}

/// Opens and reads by a ring of submissions, in memory of its own.
fn by_ring(to: &Targets) -> Outcome {
    let path = text(&to.file("read_by_ring"))?;
    let mut memory = vec![0_u8; 3 * 4096];
    let start = memory.as_ptr().align_offset(4096);
    let (ring, entries) = (place(&memory[start..]), place(&memory[start + 4096..]));
    // An open: opcode 18, relative to the working directory, for reading.
    let entry = [18 | 0xffff_ff9c_0000_0000, 0, path.as_ptr() as u64, 0, 0, 0, 0, 0];
    memory[start + 4096..start + 4160].copy_from_slice(&words(&entry));
    let mut parameters = halves(&[1, 1, (1 << 14) | (1 << 16), 0, 0, 0, 0, 0, 0, 0]);
    parameters.resize(120, 0);
    // Where the kernel is to put the entries, and the rings.
    parameters[72..80].copy_from_slice(&words(&[entries]));
    parameters[112..120].copy_from_slice(&words(&[ring]));
    let fd = call!(libc::SYS_io_uring_setup, 1, &mut parameters[..])?;
    let at =
        |from: usize| u32::from_ne_bytes(parameters[from..from + 4].try_into().unwrap_or_default()) as usize;
    let (tail, completions) = (start + at(44), start + at(100));
    memory[tail..tail + 4].copy_from_slice(&1_u32.to_ne_bytes());
    call!(libc::SYS_io_uring_enter, fd, 1, 1, 1, 0, 0)?;
    let memory = std::hint::black_box(memory);
    let answer = i32::from_ne_bytes(memory[completions + 8..completions + 12].try_into().unwrap_or_default());
    if answer < 0 {
        return Err(std::io::Error::from_raw_os_error(-answer).into());
    }
    let mut bytes = [0; SECRET.len()];
    call!(libc::SYS_pread64, answer, &mut bytes[..], 21, 0)?;
    secret(&bytes)
}

/// A program of 32 bits: its header, and `getpid` by the old gate, with its low byte for an exit code of 77.
const I386: [u8; 99] = {
    let mut image = [0; 99];
    let header: [u8; 84] = [
        0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 3, 0, 1, 0, 0, 0, 0x54, 0x80, 4, 8,
        0x34, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x34, 0, 0x20, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0,
        0, 0, 0x80, 4, 8, 0, 0x80, 4, 8, 99, 0, 0, 0, 99, 0, 0, 0, 5, 0, 0, 0, 0, 0x10, 0, 0,
    ];
    // mov eax, 1; mov ebx, 77; int 0x80.
    let code: [u8; 12] = [0xb8, 1, 0, 0, 0, 0xbb, 77, 0, 0, 0, 0xcd, 0x80];
    let mut at = 0;
    while at < header.len() {
        image[at] = header[at];
        at += 1;
    }
    let mut step = 0;
    while step < code.len() {
        image[at + step] = code[step];
        step += 1;
    }
    image
};

fn compatible(program: &[u8]) -> Outcome {
    if !cfg!(target_arch = "x86_64") {
        return absent("there are no such programs on this machine");
    }
    fs::write("program-32", program)?;
    fs::set_permissions("program-32", fs::Permissions::from_mode(0o700))?;
    let status = Command::new("./program-32").status()?;
    when(status.code() == Some(77), "a call of the other kind was made")
}
