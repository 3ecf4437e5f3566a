//! The same once more as an ordinary user: this binary is started again under another id.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::{BUBBLEWRAP, HELPER, has_bubblewrap, helper};

/// Neither root's nor anybody's. The kernel counts processes by user, so each repetition has one of its own.
const USERS: [&str; 2] = ["61234", "61236"];

#[test]
fn g8_everything_holds_for_a_server_that_is_not_root() {
    again(USERS[0], &[]);
}

/// As on a host that allows user namespaces to nobody but bubblewrap.
#[test]
fn g8_everything_holds_by_way_of_bubblewrap() {
    if has_bubblewrap() {
        again(USERS[1], &[(BUBBLEWRAP, "1")]);
    }
}

fn again(user: &str, env: &[(&str, &str)]) {
    if !rustix::process::geteuid().is_root() {
        // All tests here run as an ordinary user already.
        return;
    }
    // Where that user may read and write, wherever this checkout is.
    let dir = tempfile::tempdir().unwrap();
    let open = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open(dir.path(), 0o777);
    let (test, copy) = (dir.path().join("test"), dir.path().join("helper"));
    std::fs::copy(std::env::current_exe().unwrap(), &test).unwrap();
    std::fs::copy(helper(), &copy).unwrap();
    open(&test, 0o755);
    open(&copy, 0o755);
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user, "--regid", user, "--clear-groups", "--"]).arg(&test);
    command.args(["process::", "--test-threads", "2"]).env(HELPER, &copy).env("TMPDIR", dir.path());
    // What was repeated is noted in a file of the first user's.
    command.env_remove("KODE_ROUNDS").envs(env.iter().copied());
    let output = command.current_dir(dir.path()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.matches(" ... ok").count() > 20, "hardly a test was repeated: {out}");
}
