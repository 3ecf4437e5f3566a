//! What a command finds: its streams, its place, its neighbours.

use std::net::TcpListener;

use kode_core::sandbox::{ProcessEnd, ProcessError};
use kode_core::template::SandboxSpec;
use kode_core::tool::Cancel;

use super::{Host, by_bubblewrap, command, output, run, silent, succeeds};

#[tokio::test]
async fn a_command_runs_to_its_end_and_its_streams_are_apart() {
    let host = Host::new();
    let work = host.agent().await;
    let ran = run(&*work, &command("echo told; echo warned >&2; exit 3")).await;
    assert_eq!(ran.end, ProcessEnd::Exited { code: 3 });
    assert_eq!((ran.stdout.text().as_str(), ran.stderr.text().as_str()), ("told\n", "warned\n"));
    let ran = run(&*work, &command("kill -SEGV $$")).await;
    assert_eq!(ran.end, ProcessEnd::Signaled { signal: 11 }, "a signal is not an exit code");
    let ran = run(&*work, &command("printf 'a\\377b'; cat")).await;
    assert_eq!(ran.stdout.text(), "a\u{fffd}b", "what is no text is replaced, and the input is empty");
}

#[tokio::test]
async fn files_of_tools_and_of_commands_are_the_same() {
    let host = Host::new();
    let work = host.agent().await;
    work.write("notes/a.txt", b"by a tool\n").await.unwrap();
    let line = "cat notes/a.txt && echo 'by a command' >> notes/a.txt && mkdir b && echo c > b/c && pwd && echo $HOME";
    assert_eq!(output(&*work, line).await, "by a tool\n/work\n/work\n");
    assert_eq!(work.read("notes/a.txt", 100).await.unwrap(), b"by a tool\nby a command\n");
    work.write("b/c", b"again").await.unwrap();
    assert_eq!(output(&*work, "cat b/c; rm -r b; ls").await, "againnotes\n");
}

#[tokio::test]
async fn g8_the_servers_environment_descriptors_and_processes_are_not_there() {
    let host = Host::new();
    let work = host.agent().await;
    let env = output(&*work, "env").await;
    for line in env.lines() {
        let name = line.split('=').next().unwrap_or_default();
        let known =
            ["PATH", "HOME", "PWD", "LANG", "TERM", "USER", "LOGNAME", "SHELL", "SHLVL", "TMPDIR", "TZ", "_"];
        assert!(known.contains(&name), "{line}");
    }
    assert_eq!(
        output(&*work, "ls /proc/self/fd | tr '\\n' ' '").await,
        "0 1 2 3 ",
        "3 is the directory itself"
    );
    let seen: u32 = output(&*work, "ls /proc | grep -c '^[0-9]'").await.trim().parse().unwrap();
    let most = 5 + u32::from(by_bubblewrap());
    assert!(
        seen <= most,
        "init, the shell, ls, grep and a subshell at most, and who holds the namespaces: {seen}"
    );
    let ids = output(&*work, "id -u; id -g; hostname; umask").await;
    assert_eq!(ids, "1000\n1000\nkode\n0077\n");
    let status = output(
        &*work,
        "grep -E 'Cap(Eff|Prm|Bnd)|NoNewPrivs|Seccomp:' /proc/self/status | awk '{print $2}' | sort -u",
    )
    .await;
    assert_eq!(status, "0000000000000000\n1\n2\n");
}

#[tokio::test]
async fn g8_nothing_of_the_host_can_be_named() {
    let host = Host::new();
    std::fs::write(host.path().join("secret"), "s").unwrap();
    let (work, other) = (host.agent().await, host.open("b", &SandboxSpec::default()).await);
    other.write("secret", b"of another").await.unwrap();
    for path in [host.path().join("secret"), host.path().join("agents/b/secret")] {
        let path = path.display();
        assert!(!succeeds(&*work, &format!("cat {path}")).await);
        assert!(!succeeds(&*work, &format!("ls -d {path}")).await, "not even its name");
        assert!(!succeeds(&*work, &format!("ln -s {path} link && cat link")).await);
    }
    assert_eq!(
        output(&*work, "ls /").await,
        "bin\ndev\netc\nlib\nlib64\nproc\nrun\nsbin\ntmp\nusr\nvar\nwork\n"
    );
    assert!(!succeeds(&*work, "cat /etc/shadow").await);
    assert!(!succeeds(&*work, "touch /usr/x || touch /etc/x || touch /x").await);
    assert!(!succeeds(&*work, "echo 1 > /proc/sys/kernel/panic").await);
    output(&*work, "echo t > /tmp/t; echo s > /dev/shm/s; cat /tmp/t").await;
    assert!(!succeeds(&*work, "cat /tmp/t || cat /dev/shm/s").await, "each command has its own");
}

#[tokio::test]
async fn g8_there_is_no_network_but_its_own() {
    let host = Host::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let work = host.agent().await;
    assert!(!succeeds(&*work, &format!("exec 3<>/dev/tcp/127.0.0.1/{port}")).await);
    assert_eq!(output(&*work, "cat /proc/net/dev | grep -c :").await.trim(), "1", "loopback only");
    let own = "perl -MSocket -e 'socket(S,PF_INET,SOCK_STREAM,0) and bind(S,sockaddr_in(8080,INADDR_LOOPBACK)) and listen(S,1) \
               and socket(C,PF_INET,SOCK_STREAM,0) and connect(C,sockaddr_in(8080,INADDR_LOOPBACK)) and print \"met\"'";
    assert_eq!(output(&*work, own).await, "met", "a program may speak with itself");
}

#[tokio::test]
async fn allowed_paths_are_there_under_their_own_names() {
    let host = Host::new();
    let shared = host.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::write(shared.join("a"), "from the host").unwrap();
    let path = shared.display().to_string();
    let spec = SandboxSpec { allow_paths: vec![path.clone()], ..SandboxSpec::default() };
    let work = host.open("a", &spec).await;
    assert_eq!(output(&*work, &format!("cat {path}/a; echo made > {path}/b")).await, "from the host");
    assert_eq!(std::fs::read_to_string(shared.join("b")).unwrap(), "made\n");
    assert!(!succeeds(&*work, &format!("ls {}", host.path().join("agents").display())).await);
}

#[tokio::test]
async fn protected_names_that_are_there_cannot_be_written_by_commands() {
    let host = Host::new();
    let work = host.agent().await;
    output(&*work, "mkdir -p .git/hooks .vscode; echo a > .git/config; echo b > .envrc; echo c > free").await;
    for line in [
        "echo x > .git/hooks/post-checkout",
        "echo x >> .git/config",
        "echo x > .envrc",
        "rm .envrc",
        "touch .vscode/x",
    ] {
        assert!(!succeeds(&*work, line).await, "{line}");
    }
    assert_eq!(output(&*work, "cat .git/config .envrc; echo d > free; cat free").await, "a\nb\nd\n");
    assert!(
        succeeds(&*work, "mkdir n && cd n && mkdir .git && echo x > .git/config").await,
        "below, all is free"
    );
}

#[tokio::test]
async fn a_command_that_cannot_be_one_is_refused() {
    let host = Host::new();
    let work = host.agent().await;
    let processes = work.processes().unwrap();
    for (line, word) in [("a\0b".to_owned(), "NUL"), ("#".repeat(200_000), "120 KiB")] {
        let refused = processes.run(&command(&line), Cancel::default(), silent()).await.unwrap_err();
        assert!(matches!(&refused, ProcessError::Io(why) if why.contains(word)), "{refused}");
    }
    assert_eq!(run(&*work, &command("no-such-program")).await.end, ProcessEnd::Exited { code: 127 });
}

/// Remembers what it is told.
#[derive(Default)]
struct Listening(std::sync::Mutex<Vec<(String, serde_json::Value)>>);

#[async_trait::async_trait]
impl kode_core::sandbox::Witness for Listening {
    async fn notice(&self, event_type: &str, data: serde_json::Value) {
        self.0.lock().unwrap().push((event_type.to_owned(), data));
    }
}

#[tokio::test]
async fn g8_the_only_way_out_is_the_proxy_and_it_refuses_what_is_not_allowed() {
    let host = Host::new();
    let spec = SandboxSpec { network: vec!["api.example.com".into()], ..SandboxSpec::default() };
    let work = host.open("a", &spec).await;
    let heard = std::sync::Arc::new(Listening::default());
    let line = "echo $HTTPS_PROXY; exec 3<>/dev/tcp/127.0.0.1/3128; \
                printf 'CONNECT evil.example:443 HTTP/1.1\\r\\nHost: evil.example:443\\r\\n\\r\\n' >&3; head -1 <&3";
    let command = command(line);
    let run = work.processes().unwrap().run(&command, Cancel::default(), heard.clone());
    let text = run.await.unwrap().stdout.text();
    assert!(text.starts_with("http://127.0.0.1:3128\nHTTP/1.1 403"), "{text}");
    let heard = heard.0.lock().unwrap().clone();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!((heard[0].0.as_str(), &heard[0].1["reason"]), ("egress_refused", &"not_allowed".into()));
    let none = host.agent().await;
    assert!(!succeeds(&*none, "exec 3<>/dev/tcp/127.0.0.1/3128").await, "without a rule there is no proxy");
}
