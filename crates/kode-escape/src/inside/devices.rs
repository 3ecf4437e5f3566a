//! Devices and terminals of the host's.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::fd::AsRawFd;

use super::ground::call;
use crate::attempt::{Attempt, Outcome, absent, attempt, had};

const TYPED: &str = "commands typed into another's terminal";
const DEVICE: &str = "a wide door into the kernel or the machine";

pub(super) const ATTEMPTS: &[Attempt] = &[
    attempt("type_into_terminal", TYPED, |to| {
        let _ = call!(libc::SYS_setsid);
        let terminal = OpenOptions::new().read(true).write(true).open(&to.terminal)?;
        let mut key = *b"x";
        had(call!(libc::SYS_ioctl, terminal.as_raw_fd(), libc::TIOCSTI as i64, &mut key[..])?)
    }),
    attempt("write_to_terminal", TYPED, |to| {
        OpenOptions::new().write(true).open(&to.terminal)?.write_all(b"mine")?;
        had("what its user sees")
    }),
    attempt("read_from_terminal", TYPED, |to| {
        let _ = call!(libc::SYS_setsid);
        File::open(&to.terminal)?;
        had("what its user types")
    }),
    attempt("command_console", TYPED, |_| {
        if !std::path::Path::new("/dev/tty0").exists() {
            return absent("there is no console");
        }
        let console = OpenOptions::new().read(true).write(true).open("/dev/tty0")?;
        let mut command = [6; 4];
        had(call!(libc::SYS_ioctl, console.as_raw_fd(), libc::TIOCLINUX as i64, &mut command[..])?)
    }),
    attempt("open_console", TYPED, |_| opened("/dev/console", true)),
    attempt("make_terminal", "a terminal of the host's", |_| opened("/dev/ptmx", true)),
    attempt("open_virtual_machines", DEVICE, |_| opened("/dev/kvm", true)),
    attempt("open_tunnel", DEVICE, |_| opened("/dev/net/tun", true)),
    attempt("open_user_file_systems", DEVICE, |_| opened("/dev/fuse", true)),
    attempt("open_loop_devices", DEVICE, |_| opened("/dev/loop-control", true)),
    attempt("open_loop_device", DEVICE, |_| opened("/dev/loop0", false)),
    attempt("open_kernel_messages", "the kernel's log", |_| opened("/dev/kmsg", false)),
    attempt("write_kernel_messages", "lines in the kernel's log", |_| opened("/dev/kmsg", true)),
    attempt("open_processor_registers", DEVICE, |_| opened("/dev/cpu/0/msr", false)),
    attempt("open_memory_device", DEVICE, |_| opened("/dev/mem", false)),
    attempt("open_port_device", DEVICE, |_| opened("/dev/port", false)),
    attempt("open_kernel_image", DEVICE, |_| opened("/proc/kcore", false)),
    attempt("open_random_hardware", DEVICE, |_| opened("/dev/hwrng", false)),
    attempt("open_userfault_device", DEVICE, |_| opened("/dev/userfaultfd", true)),
    attempt("change_shared_device", "what every program opens, shut for all", |_| {
        let mode = fs::metadata("/dev/null")?.permissions();
        fs::set_permissions("/dev/null", mode)?;
        had("the mode of /dev/null")
    }),
    attempt("add_entropy", DEVICE, |_| {
        let random = File::open("/dev/random")?;
        // RNDADDTOENTCNT of nothing.
        let mut count = [0; 4];
        had(call!(libc::SYS_ioctl, random.as_raw_fd(), 0x4004_5201, &mut count[..])?)
    }),
];

/// A device that not every host has. Seen from a sandbox it is absent too; what counts then is what a plain spawn saw.
fn opened(path: &str, write: bool) -> Outcome {
    match OpenOptions::new().read(true).write(write).open(path) {
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::ENOENT | libc::ENXIO | libc::ENODEV | libc::EIO)
            ) =>
        {
            absent(format!("{path} is no device that works"))
        }
        answer => had(answer?.as_raw_fd()),
    }
}
