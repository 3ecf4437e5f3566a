//! The filter of system calls: what a program never needs and a break-out does.
//!
//! Three filters stand behind one another, and the stricter answer counts: the first knows numbers, the second one wish, the
//! third arguments.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, sock_filter,
};

use super::{Failed, at};

/// Calls up to here were known when this was written; a newer one does not exist for what runs in a sandbox.
const LAST_KNOWN: u32 = 467;

/// Calls too new to have a name in `libc`; their numbers are the same everywhere.
const STATMOUNT: i64 = 457;
const LISTMOUNT: i64 = 458;
const OPEN_TREE_ATTR: i64 = 467;

/// Calls whose flags are in memory, where no filter reads them. Who is told that there is no such call does with the
/// older one.
const UNREADABLE: [i64; 2] = [libc::SYS_clone3, libc::SYS_openat2];

/// Calls that are refused whatever their arguments say.
const REFUSED: &[i64] = &[
    // Other processes' memory and state.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
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
    STATMOUNT,
    LISTMOUNT,
    OPEN_TREE_ATTR,
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
/// Also refused where these are shared with the host. Of sockets only pairs are left then: what listens on the host
/// by a path, a container engine for one, is a way out of everything.
const SHARED: &[i64] = &[
    libc::SYS_socket,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
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
/// Calls that change how another process runs, and which argument says whose; 0 is the caller. In a pid namespace there
/// are none but its own.
const WHOSE: &[(i64, u8)] = &[
    (libc::SYS_prlimit64, 0),
    (libc::SYS_setpriority, 1),
    (libc::SYS_ioprio_set, 1),
    (libc::SYS_sched_setaffinity, 0),
    (libc::SYS_sched_setscheduler, 0),
    (libc::SYS_sched_setparam, 0),
    (libc::SYS_sched_setattr, 0),
];
/// Calls that give a file its mode, and which argument that is.
const MODES: &[(i64, u8)] = &[
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_chmod, 1),
    (libc::SYS_fchmod, 1),
    (libc::SYS_fchmodat, 2),
    (libc::SYS_fchmodat2, 2),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_creat, 1),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mknod, 1),
    (libc::SYS_mknodat, 2),
];
/// The same of those that have a mode only where their flags, the argument before, say that a file is made.
const OPENS: &[(i64, u8)] = &[
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, 2),
    (libc::SYS_openat, 3),
];
/// Set-user-id and set-group-id. On the host's disk a sandbox's files belong to the server's user.
const OWNERS_RIGHTS: [u64; 2] = [0o4000, 0o2000];
/// `O_CREAT`, and `O_TMPFILE` without `O_DIRECTORY`.
const MAKES: [u64; 2] = [0o100, 0o20_000_000];
/// Ways to run that programs ask for (Linux, 32-bit, an old version number) and the question which it is. Others are
/// weaker ones.
const PERSONALITIES: [u64; 5] = [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff];
/// Protocols of the internet's sockets: the family's own choice, ICMP, TCP, UDP.
const PROTOCOLS: [(i32, [i32; 4]); 2] = [(libc::AF_INET, [0, 1, 6, 17]), (libc::AF_INET6, [0, 58, 6, 17])];
/// Flags of `clone` that make a namespace.
const NEW_NAMESPACES: u64 = 0x7E02_0080;
/// Flags of `clone` for a thread, and for one open-file table with whoever makes it. All threads of a process have one table,
/// so that what is open is seen at any of them.
const THREAD: u64 = 0x1_0000;
const FILES: u64 = 0x400;
/// `CLOSE_RANGE_UNSHARE`: a table of its own for the thread.
const OWN_TABLE: u64 = 2;
/// Ways to type into a terminal as its user, or to reach the console.
const TERMINAL: [u64; 2] = [libc::TIOCSTI, libc::TIOCLINUX];

/// The filters, ready to be put on.
pub(super) struct Filters([BpfProgram; 3]);

/// The filters for this machine; with the namespaces, sockets of the inner network are left.
pub(super) fn filters(own_network: bool) -> Result<Filters, Failed> {
    Ok(Filters([numbers(), in_sight(), arguments(own_network).map_err(at("seccomp"))?]))
}

impl Filters {
    /// Puts them on this process for good. None needs a right that one before it takes.
    pub(super) fn apply(&self) -> Result<(), Failed> {
        self.0.iter().try_for_each(|filter| seccompiler::apply_filter(filter).map_err(at("seccomp")))
    }
}

/// Answers "no such call" to unknown numbers, the numbers of another word size among them, and to calls whose flags a
/// filter cannot read. Any other architecture is the end of the process.
fn numbers() -> BpfProgram {
    const LOAD: u16 = 0x20;
    const EQUAL: u16 = 0x15;
    const GREATER: u16 = 0x25;
    const RETURN: u16 = 0x06;
    let number = |call| u32::try_from(call).unwrap_or(u32::MAX);
    let no_such_call = 0x0005_0000 | libc::ENOSYS.cast_unsigned();
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    vec![
        step(LOAD, 0, 0, 4),
        step(EQUAL, 1, 0, architecture()),
        step(RETURN, 0, 0, 0x8000_0000),
        step(LOAD, 0, 0, 0),
        step(GREATER, 2, 0, LAST_KNOWN),
        step(EQUAL, 1, 0, number(UNREADABLE[0])),
        step(EQUAL, 0, 1, number(UNREADABLE[1])),
        step(RETURN, 0, 0, no_such_call),
        step(RETURN, 0, 0, 0x7fff_0000),
    ]
}

/// Lets a process that wishes not to be dumped think that it is so. No other may trace it anyway, and what it holds stays to be
/// counted.
fn in_sight() -> BpfProgram {
    const LOAD: u16 = 0x20;
    const EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const PR_SET_DUMPABLE: u32 = 4;
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    vec![
        step(LOAD, 0, 0, 0),
        step(EQUAL, 0, 5, u32::try_from(libc::SYS_prctl).unwrap_or(u32::MAX)),
        // The low halves of the first two arguments.
        step(LOAD, 0, 0, 16),
        step(EQUAL, 0, 3, PR_SET_DUMPABLE),
        step(LOAD, 0, 0, 24),
        step(EQUAL, 0, 1, 0),
        step(RETURN, 0, 0, 0x0005_0000),
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

type Rules = BTreeMap<i64, Vec<SeccompRule>>;
type Made<T> = Result<T, seccompiler::BackendError>;

fn arguments(own_network: bool) -> Made<BpfProgram> {
    let mut rules: Rules = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let namespaces = (0..64).map(|bit| 1 << bit).filter(|bit| NEW_NAMESPACES & bit != 0);
    let mut any: Vec<_> =
        namespaces.map(|bit| rule(&[(0, SeccompCmpOp::MaskedEq(bit), bit)])).collect::<Made<_>>()?;
    any.push(rule(&[(0, SeccompCmpOp::MaskedEq(THREAD | FILES), THREAD)])?);
    rules.insert(libc::SYS_clone, any);
    let any = TERMINAL.map(|request| rule(&[(1, SeccompCmpOp::Eq, request)]));
    rules.insert(libc::SYS_ioctl, any.into_iter().collect::<Made<_>>()?);
    let other = PERSONALITIES.map(|known| (0, SeccompCmpOp::Ne, known));
    rules.insert(libc::SYS_personality, vec![rule(&other)?]);
    rules.insert(libc::SYS_close_range, vec![rule(&[(2, SeccompCmpOp::MaskedEq(OWN_TABLE), OWN_TABLE)])?]);
    modes(&mut rules)?;
    sockets(&mut rules, own_network)?;
    if !own_network {
        rules.extend(SHARED.iter().map(|call| (*call, Vec::new())));
        for (call, whose) in WHOSE {
            rules.insert(*call, vec![rule(&[(*whose, SeccompCmpOp::Ne, 0)])?]);
        }
    }
    let target = TargetArch::try_from(std::env::consts::ARCH)?;
    let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, target)?.try_into()
}

/// A rule that fits where all of its conditions do; each looks at the low half of an argument.
fn rule(conditions: &[(u8, SeccompCmpOp, u64)]) -> Made<SeccompRule> {
    let condition = |(index, operator, value): &(u8, SeccompCmpOp, u64)| {
        SeccompCondition::new(*index, SeccompCmpArgLen::Dword, operator.clone(), *value)
    };
    SeccompRule::new(conditions.iter().map(condition).collect::<Made<_>>()?)
}

/// No file gets the bits by which it would run with its owner's rights.
fn modes(rules: &mut Rules) -> Made<()> {
    let has = |index: u8, bit: u64| (index, SeccompCmpOp::MaskedEq(bit), bit);
    for (call, mode) in MODES {
        let any = OWNERS_RIGHTS.map(|bit| rule(&[has(*mode, bit)]));
        rules.insert(*call, any.into_iter().collect::<Made<_>>()?);
    }
    for (call, mode) in OPENS {
        let any = OWNERS_RIGHTS.iter().flat_map(|bit| MAKES.iter().map(move |flag| (*bit, *flag)));
        let any = any.map(|(bit, flag)| rule(&[has(*mode, bit), has(*mode - 1, flag)]));
        rules.insert(*call, any.collect::<Made<_>>()?);
    }
    Ok(())
}

/// Local sockets, and the usual ones of the internet where the network is its own; netlink, vsock, packets never.
/// Without a network of its own only pairs, of kinds that cannot be connected to anything else.
fn sockets(rules: &mut Rules, own_network: bool) -> Made<()> {
    let is = |index: u8, value: i32| (index, SeccompCmpOp::Eq, u64::try_from(value).unwrap_or_default());
    let isnt = |index: u8, value: i32| (index, SeccompCmpOp::Ne, u64::try_from(value).unwrap_or_default());
    let kind = |value: i32| (1, SeccompCmpOp::MaskedEq(0xf), u64::try_from(value).unwrap_or_default());
    let mut pairs = vec![rule(&[isnt(0, libc::AF_UNIX)])?];
    if !own_network {
        pairs.push(rule(&[kind(libc::SOCK_DGRAM)])?);
    }
    rules.insert(libc::SYS_socketpair, pairs);
    let mut refused =
        vec![rule(&[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6].map(|family| isnt(0, family)))?];
    for (family, protocols) in PROTOCOLS {
        let mut other = vec![is(0, family)];
        other.extend(protocols.map(|protocol| isnt(2, protocol)));
        refused.push(rule(&other)?);
        for exotic in [libc::SOCK_RDM, libc::SOCK_SEQPACKET, libc::SOCK_DCCP] {
            refused.push(rule(&[is(0, family), kind(exotic)])?);
        }
    }
    rules.insert(libc::SYS_socket, refused);
    Ok(())
}
