//! The recipes of `deploy/` keep what the sandbox needs, as far as that can be seen without running them.

use std::collections::BTreeSet;

use serde_json::Value;

/// What the sandbox's helper calls beyond what every program does.
const HELPER_CALLS: &[&str] = &[
    "unshare",
    "mount",
    "umount2",
    "pivot_root",
    "open_tree",
    "move_mount",
    "mount_setattr",
    "fsopen",
    "fsconfig",
    "fsmount",
    "sethostname",
    "setgroups",
    "setresuid",
    "setresgid",
    "capset",
    "prctl",
    "seccomp",
    "openat2",
    "close_range",
    "landlock_create_ruleset",
    "landlock_add_rule",
    "landlock_restrict_self",
    "clone",
    "socket",
];
/// What a container's programs must not get, whatever else is added.
const NEVER: &[&str] = &[
    "add_key",
    "bpf",
    "clone3",
    "init_module",
    "finit_module",
    "io_uring_setup",
    "kexec_load",
    "keyctl",
    "open_by_handle_at",
    "perf_event_open",
    "process_vm_readv",
    "ptrace",
    "setns",
    "userfaultfd",
];
/// User, pid, mount, ipc, uts and network namespaces.
const NAMESPACES: u64 = 0x7C02_0000;
/// Settings of systemd with which the sandbox was found not to start, or to lose its bounds.
const BREAKING: &[&str] = &[
    "DynamicUser=",
    "ProtectControlGroups=",
    "ProtectHostname=",
    "ProtectKernelLogs=",
    "ProtectKernelTunables=",
    "RestrictNamespaces=yes",
    "RestrictSUIDSGID=",
];

fn recipe(path: &str) -> String {
    let path = format!("{}/../../deploy/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_containers_filter_lets_the_sandbox_be_built_and_nothing_wide_through() {
    let profile: Value = serde_json::from_str(&recipe("container/seccomp.json")).unwrap();
    assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO", "what is not listed is refused");
    let groups = profile["syscalls"].as_array().unwrap();
    // Kubernetes' runtimes read the file without these, and would let through what they narrow.
    assert!(groups.iter().all(|group| group.get("includes").is_none() && group.get("excludes").is_none()));
    let allowing = || groups.iter().filter(|group| group["action"] == "SCMP_ACT_ALLOW");
    let names = |group: &Value| -> Vec<String> { serde_json::from_value(group["names"].clone()).unwrap() };
    let allowed: BTreeSet<String> = allowing().flat_map(names).collect();
    let missing: Vec<_> = HELPER_CALLS.iter().filter(|call| !allowed.contains(**call)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let wide: Vec<_> = NEVER.iter().filter(|call| allowed.contains(**call)).collect();
    assert!(wide.is_empty(), "{wide:?}");
    let unshare = allowing().find(|group| names(group) == ["unshare"]).unwrap();
    let refused = unshare["args"][0]["value"].as_u64().unwrap();
    assert_eq!(refused & NAMESPACES, 0, "unshare may make every namespace that the sandbox makes");
}

#[test]
fn the_container_is_no_roots() {
    let dockerfile = recipe("container/Dockerfile");
    let user = dockerfile.lines().filter_map(|line| line.strip_prefix("USER ")).next_back().unwrap();
    assert!(user.split(':').all(|id| id.parse::<u32>().unwrap() > 0), "{user}");
    let compose = recipe("container/compose.yaml");
    assert!(!compose.contains("privileged: true") && !compose.contains("cap_add"));
    assert!(compose.contains("seccomp=./seccomp.json") && compose.contains("systempaths=unconfined"));
}

#[test]
fn the_unit_has_no_setting_that_the_sandbox_does_not_survive() {
    let unit = recipe("systemd/kode.service");
    let settings: Vec<&str> = unit.lines().filter(|line| !line.starts_with(['#', '['])).collect();
    let breaks = |line: &&&str| BREAKING.iter().any(|setting| line.starts_with(setting));
    assert_eq!(settings.iter().find(breaks), None);
    for needed in ["User=kode", "DelegateSubgroup=server", "NoNewPrivileges=yes", "OOMPolicy=continue"] {
        assert!(settings.contains(&needed), "{needed}");
    }
}
