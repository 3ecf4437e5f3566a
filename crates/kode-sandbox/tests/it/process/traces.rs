//! What a command can leave on the host's disk or hold where nobody looks, and what its helper may do. The battery of
//! kode-escape makes the same attempts; here each has its place and its reason.

use kode_core::sandbox::{Limit, ProcessEnd};
use kode_core::template::SandboxSpec;
use kode_core::tool::Cancel;
use kode_sandbox::Layer;

use super::{Host, command, level, output, run, silent, succeeds, within};

#[tokio::test]
async fn g8_no_file_gets_its_owners_rights() {
    let host = Host::new();
    for name in ["confined", "strict"] {
        let work = host.open(&format!("a-{name}"), &level(name)).await;
        output(&*work, "cp /usr/bin/true t && chmod 755 t && chmod u=rwx,g=rx t && mkdir d && chmod 1777 d")
            .await;
        for bits in ["4755", "2755", "u+s", "g+s"] {
            assert!(!succeeds(&*work, &format!("chmod {bits} t")).await, "{name} {bits}");
        }
        // By the mode of an open, which a change of mode does not see.
        let open = "perl -e 'syscall(257, -100, my $n = \"s\", 0102, 04755) < 0 or exit 1'";
        if cfg!(target_arch = "x86_64") {
            output(&*work, open).await;
        }
        assert_eq!(output(&*work, "find . -perm /6000 | wc -l").await.trim(), "0", "{name}");
    }
}

#[tokio::test]
async fn streams_can_be_opened_by_their_names() {
    let host = Host::new();
    let ran = run(&*host.agent().await, &command("echo out > /dev/stdout; echo err > /dev/stderr")).await;
    assert_eq!((ran.stdout.text().as_str(), ran.stderr.text().as_str()), ("out\n", "err\n"));
}

#[tokio::test]
async fn g8_the_machines_own_affairs_are_not_told() {
    let host = Host::new();
    let work = host.agent().await;
    assert_eq!(
        output(&*work, "cat /proc/keys /proc/cmdline /proc/kallsyms 2>/dev/null | wc -c").await.trim(),
        "0"
    );
    assert_eq!(
        output(&*work, "cut -d: -f3 /proc/self/cgroup | sort -u").await,
        "/\n",
        "nor the path of its group"
    );
}

#[tokio::test]
async fn g8_without_a_network_of_its_own_there_are_only_pairs_of_sockets() {
    let host = Host::new();
    let work = host.open("a", &level("confined")).await;
    let perl = |line: &str| format!("perl -MSocket -e '({line}) or exit 1'");
    assert!(!succeeds(&*work, &perl("socket(S, PF_UNIX, SOCK_STREAM, 0)")).await);
    assert!(
        !succeeds(&*work, &perl("socketpair(A, B, PF_UNIX, SOCK_DGRAM, 0)")).await,
        "it can be connected anew"
    );
    assert!(succeeds(&*work, &perl("socketpair(A, B, PF_UNIX, SOCK_STREAM, 0)")).await);
    assert!(!succeeds(&*work, &format!("prlimit --pid {} --core", std::process::id())).await);
}

/// A command that takes something and then waits to be found out.
async fn is_over(host: &Host, spec: &SandboxSpec, line: &str) -> Option<Limit> {
    let work = host.open(&format!("a{}", line.len()), spec).await;
    let line = format!("perl -e '{line}; sleep 60; print \"had it\"'");
    match run(&*work, &within(&line, 30_000)).await.end {
        ProcessEnd::OverLimit { limit, .. } => Some(limit),
        _ => None,
    }
}

#[tokio::test]
async fn g10_the_quota_counts_what_no_directory_shows() {
    let host = Host::new();
    let spec = SandboxSpec { disk_mib: 4, ..SandboxSpec::default() };
    for line in [
        "for (1..12) { open($f[$_], \">\", \"f$_\"); unlink \"f$_\"; syswrite $f[$_], \"x\" x 1e6 }",
        "for (1..4000) { open(F, \">\", \"f$_\") }",
        "for (1..300) { mkdir \"d\"; chdir \"d\" } for (1..12) { open(F, \">\", \"f$_\"); syswrite F, \"x\" x 1e6 }",
        "for (1..1600) { mkdir \"d\"; chdir \"d\" }",
    ] {
        assert_eq!(is_over(&host, &spec, line).await, Some(Limit::Disk), "{line}");
    }
}

/// Or it could stop what tells of its end.
#[tokio::test]
async fn g8_what_holds_a_command_is_out_of_its_reach() {
    let host = Host::new();
    for name in ["strict", "confined"] {
        let work = host.open(&format!("a-{name}"), &level(name)).await;
        assert!(!succeeds(&*work, "kill -0 $PPID").await, "{name}");
        assert!(succeeds(&*work, "sleep 60 & kill $! && kill -0 $$").await, "{name}: its own are in reach");
    }
    let work = host.agent().await;
    let ran = run(&*work, &command("trap \"\" TERM; kill -TERM -1; exit 3")).await;
    assert_eq!(ran.end, ProcessEnd::Exited { code: 3 });
}

/// Those that hold keys say that of themselves.
#[tokio::test]
async fn g10_a_process_that_may_not_be_dumped_may_run_and_is_counted() {
    let host = Host::new();
    let spec = SandboxSpec { disk_mib: 4, ..SandboxSpec::default() };
    let hide = format!("syscall({}, 4, 0, 0, 0, 0) == 0 or die; ", libc::SYS_prctl);
    let work = host.open("a", &spec).await;
    let line = format!("perl -e '{hide}select(undef, undef, undef, 0.7); print \"fine\"'");
    assert_eq!(output(&*work, &line).await, "fine");
    let take = "for (1..12) { open($f[$_], \">\", \"f$_\"); unlink \"f$_\"; syswrite $f[$_], \"x\" x 1e6 }";
    assert_eq!(is_over(&host, &spec, &format!("{hide}{take}")).await, Some(Limit::Disk));
}

#[tokio::test]
async fn g10_without_a_group_memory_in_files_is_memory() {
    let host = Host::new();
    let host = Host { sandbox: host.sandbox.clone().without([Layer::Cgroup]), ..host };
    let spec = SandboxSpec { memory_mib: 24, ..SandboxSpec::default() };
    for line in [
        "for (1..60) { open($f, \">\", \"/tmp/f$_\"); syswrite $f, \"x\" x 1e6 }",
        "for (1..60) { open($f[$_], \">\", \"/dev/shm/f$_\"); syswrite $f[$_], \"x\" x 1e6; unlink \"/dev/shm/f$_\" }",
    ] {
        assert_eq!(is_over(&host, &spec, line).await, Some(Limit::Memory), "{line}");
    }
}

#[tokio::test]
async fn g8_the_helper_keeps_no_right_but_to_kill_and_to_count() {
    let host = Host::new();
    let work = host.agent().await;
    let line = "echo begun > begun; exec sleep 1000";
    let command = within(line, 20_000);
    let run = work.processes().unwrap().run(&command, Cancel::default(), silent());
    let looked = async {
        while work.read("begun", 10).await.is_err() {
            tokio::task::yield_now().await;
        }
        let children = |pid: u32| {
            let text =
                std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            text.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>()
        };
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        let of = |task: std::fs::DirEntry| {
            std::fs::read_to_string(task.path().join("children")).unwrap_or_default()
        };
        let helpers: Vec<u32> = tasks
            .map(of)
            .flat_map(|text| text.split_whitespace().map(|id| id.parse().unwrap()).collect::<Vec<_>>())
            .collect();
        let held = helpers.into_iter().find(|helper| !children(*helper).is_empty()).unwrap();
        std::fs::read_to_string(format!("/proc/{held}/status")).unwrap()
    };
    let status = tokio::select! {
        _ = run => panic!("it goes on"),
        status = looked => status,
    };
    let kept = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    };
    let all = |bits: &[u64]| bits.iter().fold(0, |mask, bit| mask | 1_u64 << bit);
    let (uses, has) = (kept("CapEff:"), kept("CapPrm:"));
    assert_eq!(uses & !all(&[5, 2, 19]), 0, "to kill, to read directories, to look into processes: {uses:x}");
    assert_eq!(has & !all(&[5, 2, 19, 1]), 0, "and, at the end, to remove a group: {has:x}");
}

/// Where this process's helpers make their groups: below its own in each hierarchy, or beside it. What others left
/// elsewhere is not this server's to remove.
fn own_places() -> Vec<std::path::PathBuf> {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let fields = own.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let mount = std::path::Path::new("/sys/fs/cgroup");
    fields
        .flat_map(|(controllers, path)| {
            let below = mount.join(controllers).join(path.trim_start_matches('/'));
            let beside = below.parent().filter(|_| controllers.is_empty()).map(Into::into);
            [Some(below), beside].into_iter().flatten()
        })
        .collect()
}

/// The groups of helpers that are no more, in this server's places.
fn groups_left_behind() -> Vec<std::path::PathBuf> {
    let mut left = Vec::new();
    for place in own_places() {
        for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let helper = name.to_str().and_then(|name| name.strip_prefix("kode-"));
            if helper.is_some_and(|helper| !std::path::Path::new("/proc").join(helper).exists()) {
                left.push(entry.path());
            }
        }
    }
    left
}

#[tokio::test]
async fn g10_no_group_is_left_behind() {
    let host = Host::new();
    let work = host.agent().await;
    if work.report().layers.get(Layer::Cgroup.name()) != Some(&true) {
        kode_testkit::rounds::skipped("groups that nobody leaves behind", "there are none here");
        return;
    }
    let before = groups_left_behind();
    for _ in 0..5 {
        output(&*work, "sleep 0.01 & true").await;
        run(&*work, &within("sleep 1000", 50)).await;
    }
    // Others may have left some meanwhile, by being killed; not as many as here ran.
    let left = groups_left_behind().iter().filter(|group| !before.contains(group)).count();
    assert!(left < 10, "{left} groups were left behind");
    // A group that another test left this moment may still have its dying processes in it, and is the next server's.
    for _ in 0..100 {
        Host::new().sandbox.prove("strict").await.unwrap();
        if !groups_left_behind().iter().any(|group| before.contains(group)) {
            return;
        }
    }
    panic!("new servers do not remove what others left");
}
