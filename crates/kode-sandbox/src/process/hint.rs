//! What an operator can do where the namespaces cannot be had. A kernel says no more than "not permitted"; whose rule
//! that is follows from the step at which it said so, and from its own settings.

use crate::helper::Failed;

/// The host on which something was refused.
pub(super) struct Host<'a> {
    pub(super) is_root: bool,
    /// A setting of the kernel's, by its path below `/proc/sys`.
    pub(super) setting: &'a (dyn Fn(&str) -> Option<String> + Sync),
}

/// This one.
pub(super) fn here() -> Host<'static> {
    Host {
        is_root: rustix::process::geteuid().is_root(),
        setting: &|path| std::fs::read_to_string(format!("/proc/sys/{path}")).ok(),
    }
}

/// Steps at which a host refuses to let namespaces and a root be made.
const OF_NAMESPACES: [&str; 10] = [
    "namespaces",
    "user namespace",
    "host name",
    "loopback",
    "mount namespace",
    "system",
    "devices",
    "memory",
    "root",
    "proc",
];

/// Whether that is what a step is about.
pub(super) fn is_of_namespaces(stage: &str) -> bool {
    OF_NAMESPACES.contains(&stage)
}

/// A failure in words for the operator.
pub(super) fn told(Failed { stage, why }: &Failed, host: &Host<'_>) -> String {
    let advice = advice(stage, why, host);
    advice.map_or_else(|| format!("{stage}: {why}"), |advice| format!("{stage}: {why}; {advice}"))
}

fn advice(stage: &str, why: &str, host: &Host<'_>) -> Option<&'static str> {
    let is = |path: &str, value: &str| (host.setting)(path).is_some_and(|text| text.trim() == value);
    match stage {
        "proc" => Some(
            "where a part of /proc is hidden, the kernel gives out no other; a container shows all of it with \
             --security-opt systempaths=unconfined (podman: unmask=ALL, Kubernetes: procMount: Unmasked), a systemd \
             service without ProtectKernelTunables= and ProtectKernelLogs= (see deploy/)",
        ),
        "namespaces" if why.contains("os error 28") || is("user/max_user_namespaces", "0") => {
            Some("no more user namespaces may be made here: raise the sysctl user.max_user_namespaces")
        }
        "namespaces" | "own_uid" if host.is_root => Some(
            "root without CAP_SYS_ADMIN, as in a container, cannot make namespaces the way root does: run the server \
             as an ordinary user (see deploy/)",
        ),
        "namespaces" if is("kernel/unprivileged_userns_clone", "0") => Some(
            "this system leaves user namespaces to root: set the sysctl kernel.unprivileged_userns_clone to 1",
        ),
        "namespaces" | "user namespace" | "host name" | "loopback" | "mount namespace"
            if is("kernel/apparmor_restrict_unprivileged_userns", "1") || why.contains("os error 13") =>
        {
            Some(
                "AppArmor forbids user namespaces here, but not to a program whose profile allows them: load \
                 deploy/apparmor/kode, and give it to a container with --security-opt apparmor=kode",
            )
        }
        stage if is_of_namespaces(stage) => Some(
            "if this is a container, its seccomp or AppArmor profile refuses what a sandbox is built with: give it \
             deploy/container/seccomp.json and, where AppArmor is, the profile kode; if it is a systemd service, see \
             deploy/ for the settings that do so",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(stage: &str, errno: i32, is_root: bool, settings: &[(&str, &str)]) -> String {
        let why = std::io::Error::from_raw_os_error(errno).to_string();
        let setting = |path: &str| {
            settings.iter().find(|(name, _)| *name == path).map(|(_, value)| format!("{value}\n"))
        };
        told(&Failed { stage: stage.into(), why }, &Host { is_root, setting: &setting })
    }

    #[test]
    fn a_refusal_leads_to_the_setting_behind_it() {
        let restricted = [("kernel/apparmor_restrict_unprivileged_userns", "1")];
        for (told, leads_to) in [
            (say("proc", 1, false, &[]), "systempaths=unconfined"),
            (say("host name", 1, false, &[]), "seccomp.json"),
            (say("host name", 1, false, &restricted), "deploy/apparmor/kode"),
            (say("namespaces", 13, false, &[]), "deploy/apparmor/kode"),
            (say("namespaces", 1, false, &[("kernel/unprivileged_userns_clone", "0")]), "userns_clone to 1"),
            (say("namespaces", 28, false, &[]), "max_user_namespaces"),
            (say("namespaces", 1, true, &restricted), "ordinary user"),
        ] {
            assert!(told.contains("os error") && told.contains(leads_to), "{told}");
        }
    }

    #[test]
    fn a_failure_of_another_kind_is_told_as_it_is() {
        assert_eq!(say("shell", 2, false, &[]), "shell: No such file or directory (os error 2)");
    }
}
