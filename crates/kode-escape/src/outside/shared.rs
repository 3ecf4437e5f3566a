//! What processes share by numbers and names: made here, and taken away again when dropped.

use std::ffi::CString;
use std::io;

use kode_sandbox::raw::{Word, call};

use crate::inside::ipc::key_name;
use crate::targets::{SECRET, Targets};

/// System V objects, a message queue, a key.
pub(super) struct Shared {
    segments: Vec<i64>,
    semaphores: i64,
    messages: i64,
    queues: Vec<CString>,
}

impl Shared {
    pub(super) fn make(to: &mut Targets) -> io::Result<Self> {
        to.key = 0x6b00_0000 | i32::try_from(std::process::id() & 0x000f_ffff).unwrap_or(1) << 4;
        to.queue = format!("kode-escape-{}", std::process::id());
        let create = i64::from(libc::IPC_CREAT | 0o600);
        let segment = |key: i32| {
            Ok::<_, io::Error>(call(libc::SYS_shmget, &mut [key.into(), 4096.into(), create.into()])?)
        };
        let shared = Self {
            segments: vec![segment(to.key)?, segment(to.key + 1)?],
            semaphores: call(libc::SYS_semget, &mut [to.key.into(), 1.into(), create.into()])?,
            messages: call(libc::SYS_msgget, &mut [to.key.into(), create.into()])?,
            queues: queues(to)?,
        };
        shared.fill(to)?;
        Ok(shared)
    }

    fn fill(&self, to: &Targets) -> io::Result<()> {
        let mut message = 1_i64.to_ne_bytes().to_vec();
        message.extend(SECRET.as_bytes());
        let length = i64::try_from(SECRET.len()).unwrap_or_default();
        let kept = &mut message[..];
        call(libc::SYS_msgsnd, &mut [self.messages.into(), kept.into(), length.into(), 0.into()])?;
        let (kind, name) = (CString::new("user")?, CString::new(key_name(to))?);
        let mut value = SECRET.as_bytes().to_vec();
        let value = &mut value[..];
        // A kernel without keys has none to steal.
        let words =
            &mut [kind.as_c_str().into(), name.as_c_str().into(), value.into(), length.into(), (-4).into()];
        let _ = call(libc::SYS_add_key, words);
        Ok(())
    }
}

fn queues(to: &Targets) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for name in [to.queue.clone(), format!("{}-also", to.queue)] {
        let name = CString::new(name)?;
        // Flags, messages, bytes of one, messages now.
        let mut attributes: Vec<u8> =
            [0_i64, 4, 64, 0, 0, 0, 0, 0].iter().flat_map(|n| n.to_ne_bytes()).collect();
        let flags = i64::from(libc::O_CREAT | libc::O_RDWR | libc::O_CLOEXEC);
        let attributes = &mut attributes[..];
        let words = &mut [name.as_c_str().into(), flags.into(), 0o600.into(), attributes.into()];
        let queue = call(libc::SYS_mq_open, words)?;
        let mut text = SECRET.as_bytes().to_vec();
        let length = i64::try_from(text.len()).unwrap_or_default();
        let text = &mut text[..];
        call(libc::SYS_mq_timedsend, &mut [queue.into(), text.into(), length.into(), 0.into(), 0.into()])?;
        call(libc::SYS_close, &mut [queue.into()])?;
        names.push(name);
    }
    Ok(names)
}

impl Drop for Shared {
    fn drop(&mut self) {
        let gone = i64::from(libc::IPC_RMID);
        for segment in &self.segments {
            let _ = call(libc::SYS_shmctl, &mut [(*segment).into(), gone.into(), 0.into()]);
        }
        let _ = call(libc::SYS_semctl, &mut [self.semaphores.into(), 0.into(), gone.into(), 0.into()]);
        let _ = call(libc::SYS_msgctl, &mut [self.messages.into(), gone.into(), 0.into()]);
        for name in &self.queues {
            let _ = call(libc::SYS_mq_unlink, &mut [Word::Text(name)]);
        }
    }
}
