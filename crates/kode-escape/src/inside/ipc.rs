//! Memory, queues and keys that processes share by a number or a name.

use super::ground::{call, secret, text};
use crate::attempt::{Attempt, Outcome, attempt, had};
use crate::targets::Targets;

const SHARED: &str = "what others share among themselves";
const KEYS: &str = "keys of the server's user";

pub(super) const ATTEMPTS: &[Attempt] = &[
    attempt("open_shared_memory", SHARED, |to| had(call!(libc::SYS_shmget, to.key, 0, 0)?)),
    attempt("remove_shared_memory", SHARED, |to| {
        let id = call!(libc::SYS_shmget, to.key + 1, 0, 0)?;
        had(call!(libc::SYS_shmctl, id, libc::IPC_RMID, 0)?)
    }),
    attempt("attach_shared_memory", SHARED, |to| {
        let id = call!(libc::SYS_shmget, to.key, 0, 0)?;
        had(call!(libc::SYS_shmat, id, 0, libc::SHM_RDONLY)?)
    }),
    attempt("open_semaphores", SHARED, |to| had(call!(libc::SYS_semget, to.key, 0, 0)?)),
    attempt("change_semaphores", SHARED, |to| {
        let id = call!(libc::SYS_semget, to.key, 0, 0)?;
        had(call!(libc::SYS_semctl, id, 0, 16, 0)?)
    }),
    attempt("read_message", SHARED, |to| {
        let id = call!(libc::SYS_msgget, to.key, 0)?;
        let mut message = [0; 72];
        call!(libc::SYS_msgrcv, id, &mut message[..], 64, 0, libc::IPC_NOWAIT)?;
        secret(&message)
    }),
    attempt("send_message", SHARED, |to| {
        let id = call!(libc::SYS_msgget, to.key, 0)?;
        let mut message = super::ground::words(&[2, 0]);
        had(call!(libc::SYS_msgsnd, id, &mut message[..], 4, libc::IPC_NOWAIT)?)
    }),
    attempt("see_shared_objects", SHARED, |to| {
        let shown = std::fs::read_to_string("/proc/sysvipc/shm")?;
        crate::attempt::when(shown.contains(&to.key.to_string()), "a key in use")
    }),
    attempt("open_queue", SHARED, |to| queue(to, libc::O_RDWR)),
    attempt("read_queue", SHARED, |to| {
        let name = text(&to.queue)?;
        let fd = call!(libc::SYS_mq_open, name.as_c_str(), libc::O_RDONLY | libc::O_NONBLOCK, 0, 0)?;
        let mut message = [0; 64];
        let mut priority = [0; 4];
        call!(libc::SYS_mq_timedreceive, fd, &mut message[..], 64, &mut priority[..], 0)?;
        secret(&message)
    }),
    attempt("remove_queue", SHARED, |to| {
        let name = text(&format!("{}-also", to.queue))?;
        had(call!(libc::SYS_mq_unlink, name.as_c_str())?)
    }),
    attempt("read_session_keyring", KEYS, |_| had(call!(libc::SYS_keyctl, 0, -3, 0)?)),
    attempt("add_key", KEYS, |_| {
        let (kind, name) = (text("user")?, text("kode-escape-added")?);
        let mut value = *b"mine";
        // Into the keyring of this process alone.
        had(call!(libc::SYS_add_key, kind.as_c_str(), name.as_c_str(), &mut value[..], 4, -2)?)
    }),
    attempt("read_server_key", KEYS, |to| {
        let (kind, name) = (text("user")?, text(&key_name(to))?);
        let key = call!(libc::SYS_keyctl, 10, -4, kind.as_c_str(), name.as_c_str(), 0)?;
        let mut value = [0; 64];
        call!(libc::SYS_keyctl, 11, key, &mut value[..], 64)?;
        secret(&value)
    }),
    attempt("request_server_key", KEYS, |to| {
        let (kind, name) = (text("user")?, text(&key_name(to))?);
        had(call!(libc::SYS_request_key, kind.as_c_str(), name.as_c_str(), 0, 0)?)
    }),
    attempt("see_keys", KEYS, |to| {
        let shown = std::fs::read_to_string("/proc/keys")?;
        crate::attempt::when(shown.contains(&key_name(to)), "the server's key by name")
    }),
];

/// What the outside calls the key that it makes.
pub(crate) fn key_name(to: &Targets) -> String {
    format!("kode-escape-{}", to.key)
}

fn queue(to: &Targets, flags: i32) -> Outcome {
    let name = text(&to.queue)?;
    had(call!(libc::SYS_mq_open, name.as_c_str(), flags, 0, 0)?)
}
