//! The filter of system calls: what a program never needs and a break-out does.
//!
//! Two filters stand behind one another, and the stricter answer counts: the first knows numbers, the second
//! arguments.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, sock_filter,
};

use super::{Failed, at};

/// Calls up to here were known when this was written; a newer one does not exist for what runs in a sandbox.
const LAST_KNOWN: u32 = 467;

/// Calls that are refused whatever their arguments say.
const REFUSED: &[i64] = &[
    // Other processes' memory and state.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    // Wide doors into the kernel.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_modify_ldt,
    libc::SYS_vhangup,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_lookup_dcookie,
    // Namespaces and mounts.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    // The machine itself.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
];
/// Also refused where these are shared with the host.
const SYSTEM_V: &[i64] = &[
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
];
/// Flags of `clone` that make a namespace.
const NEW_NAMESPACES: u64 = 0x7E02_0080;
/// Ways to type into a terminal as its user, or to reach the console.
const TERMINAL: [u64; 2] = [libc::TIOCSTI, libc::TIOCLINUX];

/// The filters, ready to be put on.
pub(super) struct Filters([BpfProgram; 2]);

/// The filters for this machine; with the namespaces, sockets of the inner network are left.
pub(super) fn filters(own_network: bool) -> Result<Filters, Failed> {
    Ok(Filters([numbers(), arguments(own_network).map_err(at("seccomp"))?]))
}

impl Filters {
    /// Puts them on this process for good. The second needs no right that the first takes.
    pub(super) fn apply(&self) -> Result<(), Failed> {
        self.0.iter().try_for_each(|filter| seccompiler::apply_filter(filter).map_err(at("seccomp")))
    }
}

/// Answers "no such call" to unknown numbers, the numbers of another word size among them, and to `clone3`, whose
/// flags a filter cannot read; libraries then use `clone`. Any other architecture is the end of the process.
fn numbers() -> BpfProgram {
    const LOAD: u16 = 0x20;
    const EQUAL: u16 = 0x15;
    const GREATER: u16 = 0x25;
    const RETURN: u16 = 0x06;
    let no_such_call = 0x0005_0000 | libc::ENOSYS.cast_unsigned();
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    vec![
        step(LOAD, 0, 0, 4),
        step(EQUAL, 1, 0, architecture()),
        step(RETURN, 0, 0, 0x8000_0000),
        step(LOAD, 0, 0, 0),
        step(GREATER, 1, 0, LAST_KNOWN),
        step(EQUAL, 0, 1, u32::try_from(libc::SYS_clone3).unwrap_or(u32::MAX)),
        step(RETURN, 0, 0, no_such_call),
        step(RETURN, 0, 0, 0x7fff_0000),
    ]
}

#[cfg(target_arch = "x86_64")]
const fn architecture() -> u32 {
    0xC000_003E
}

#[cfg(target_arch = "aarch64")]
const fn architecture() -> u32 {
    0xC000_00B7
}

fn arguments(own_network: bool) -> Result<BpfProgram, seccompiler::BackendError> {
    let refused = REFUSED.iter().chain(SYSTEM_V.iter().filter(|_| !own_network));
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = refused.map(|call| (*call, Vec::new())).collect();
    let any_of = |index, width: SeccompCmpArgLen, operators: Vec<(SeccompCmpOp, u64)>| {
        let rule = |(operator, value)| {
            SeccompRule::new(vec![SeccompCondition::new(index, width.clone(), operator, value)?])
        };
        operators.into_iter().map(rule).collect::<Result<Vec<_>, _>>()
    };
    let namespaces = (0..64).map(|bit| 1 << bit).filter(|bit| NEW_NAMESPACES & bit != 0);
    let namespaces = namespaces.map(|bit| (SeccompCmpOp::MaskedEq(bit), bit)).collect();
    rules.insert(libc::SYS_clone, any_of(0, SeccompCmpArgLen::Qword, namespaces)?);
    let terminal = TERMINAL.map(|request| (SeccompCmpOp::Eq, request)).to_vec();
    rules.insert(libc::SYS_ioctl, any_of(1, SeccompCmpArgLen::Dword, terminal)?);
    // Local sockets always; those of the internet where the network is its own; netlink, vsock, packets never.
    let families: &[i32] =
        if own_network { &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6] } else { &[libc::AF_UNIX] };
    let differs = |family: &i32| {
        let family = u64::try_from(*family).unwrap_or_default();
        SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, family)
    };
    let other = || SeccompRule::new(families.iter().map(differs).collect::<Result<Vec<_>, _>>()?);
    rules.insert(libc::SYS_socket, vec![other()?]);
    rules.insert(libc::SYS_socketpair, vec![other()?]);
    let target = TargetArch::try_from(std::env::consts::ARCH)?;
    let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, target)?.try_into()
}
