//! Starting a helper: one `posix_spawn`, whatever the server's size, and one message with the policy.
//!
//! Blocks for some milliseconds, so it belongs on a blocking thread.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair, sockopt,
};
use tokio::process::{Child, Command};

use crate::helper::{self, Failed};
use crate::policy::{Policy, Told};

/// How long a helper may take to start what it is to run.
const START: Duration = Duration::from_secs(20);
/// Longest line of a helper's.
const LINE: usize = 64 * 1024;

/// Which program is the helper.
#[derive(Debug, Clone)]
pub(crate) enum Program {
    /// This one, by its file, also if that was replaced since.
    Own,
    /// Another.
    At(PathBuf),
}

impl Program {
    /// The one to use where none was named: this program, if it can be its own helper.
    pub(crate) fn of_this_process() -> Option<Self> {
        helper::is_entered().then_some(Self::Own)
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::Own => "/proc/self/exe".into(),
            Self::At(path) => path.clone(),
        }
    }
}

/// What failed, where the machine started no helper.
pub(super) const LAUNCH: &str = "launch";

/// A helper whose command runs.
pub(crate) struct Launched {
    pub(crate) child: Child,
    /// The other end of its socket, not blocking.
    pub(crate) socket: OwnedFd,
    /// What came behind the first line.
    pub(crate) rest: Vec<u8>,
    pub(crate) told: Told,
    /// On which the egress proxy accepts.
    pub(crate) listener: Option<OwnedFd>,
}

/// Starts a helper and waits until it says that the command runs, or why it does not.
pub(crate) fn launch(
    program: &Program,
    policy: &Policy,
    descriptors: &[BorrowedFd<'_>],
) -> Result<Launched, Failed> {
    let failed = |error: std::io::Error| Failed { stage: LAUNCH.into(), why: error.kind().to_string() };
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .map_err(io(failed))?;
    sockopt::set_socket_timeout(&ours, sockopt::Timeout::Recv, Some(START)).map_err(io(failed))?;
    let mut command = Command::new(program.path());
    command.arg0(helper::NAME).env_clear().current_dir("/");
    command.stdin(Stdio::from(theirs)).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().map_err(failed)?;
    // The command holds the other end of the socket until it is dropped.
    drop(command);
    send(&ours, policy, descriptors).map_err(failed)?;
    let (told, rest, listener) = hear(&ours)?;
    rustix::io::ioctl_fionbio(&ours, true).map_err(io(failed))?;
    Ok(Launched { child, socket: ours, rest, told, listener })
}

fn io<T>(failed: impl Fn(std::io::Error) -> T) -> impl Fn(rustix::io::Errno) -> T {
    move |errno| failed(errno.into())
}

fn send(socket: &OwnedFd, policy: &Policy, descriptors: &[BorrowedFd<'_>]) -> std::io::Result<()> {
    let text = serde_json::to_vec(policy)?;
    let length = u32::try_from(text.len()).map_err(std::io::Error::other)?.to_le_bytes();
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(descriptors.len()))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(descriptors));
    sendmsg(socket, &[IoSlice::new(&length)], &mut control, SendFlags::NOSIGNAL)?;
    let mut left = &text[..];
    while !left.is_empty() {
        let sent = rustix::net::send(socket, left, SendFlags::NOSIGNAL)?;
        left = &left[sent..];
    }
    Ok(())
}

/// The first line, what came behind it, and the descriptor that came with it.
fn hear(socket: &OwnedFd) -> Result<(Told, Vec<u8>, Option<OwnedFd>), Failed> {
    let lost = |why: &str| Failed { stage: "helper".into(), why: why.to_owned() };
    let (mut text, mut listener) = (Vec::new(), None);
    loop {
        if let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let told =
                serde_json::from_slice(&text[..end]).map_err(|_| lost("the helper is of another version"))?;
            // It may be over before it has begun, as where there was hardly time: that is its end like any other.
            let is_over = matches!(told, Told::Ended(_));
            return Ok((told, if is_over { text } else { text.split_off(end + 1) }, listener));
        }
        let mut part = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let taken = rustix::io::retry_on_intr(|| {
            recvmsg(socket.as_fd(), &mut [IoSliceMut::new(&mut part)], &mut control, RecvFlags::CMSG_CLOEXEC)
        })
        .map_err(|_| lost("the helper did not start the command in time"))?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(mut rights) = message {
                listener = rights.next().or(listener);
            }
        }
        if taken.bytes == 0 || text.len() > LINE {
            return Err(lost("the helper ended before it said anything"));
        }
        text.extend_from_slice(&part[..taken.bytes]);
    }
}
