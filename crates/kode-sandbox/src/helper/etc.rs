//! What a sandboxed process sees in `/etc`: what programs need to run and to trust certificates, and nothing of the
//! host's users, services and secrets.

/// Files and directories of the host's that are shown for reading, where they exist.
pub(super) const SHOWN: [&str; 24] = [
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/os-release",
    "/etc/debian_version",
    "/etc/mime.types",
    "/etc/services",
    "/etc/protocols",
    "/etc/inputrc",
    "/etc/terminfo",
    "/etc/fonts",
    "/etc/magic",
    "/etc/java-17-openjdk",
    "/etc/perl",
    "/etc/python3",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/ca-certificates.conf",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust/extracted",
    "/etc/crypto-policies",
];

/// Files that are made.
pub(super) const MADE: [(&str, &str); 6] = [
    (
        "/etc/passwd",
        "root:x:0:0:root:/nonexistent:/usr/sbin/nologin\nagent:x:1000:1000:agent:/work:/bin/bash\n\
         nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    ),
    ("/etc/group", "root:x:0:\nagent:x:1000:\nnogroup:x:65534:\n"),
    ("/etc/hosts", "127.0.0.1 localhost kode\n::1 localhost\n"),
    ("/etc/hostname", "kode\n"),
    ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
    (
        "/etc/resolv.conf",
        "# There is no name server: hosts that are allowed are reached through the proxy.\n",
    ),
];
