//! The helper's end of the socket: one policy comes in with its descriptors, lines go out.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    self, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

use super::{Failed, at};
use crate::policy::{POLICY_MAX, Policy, Told};

/// Descriptors that may come with a policy: the work directory and the allowed paths.
const DESCRIPTORS_MAX: usize = 64;

/// Takes the policy: four bytes of length, then its text; the descriptors come with the first byte.
pub(super) fn receive(socket: impl AsFd) -> Result<(Policy, Vec<OwnedFd>), Failed> {
    let failed = at::<String>("policy");
    let (mut text, mut descriptors) = (Vec::new(), Vec::new());
    let mut wanted = 4;
    while text.len() < wanted {
        let mut part = vec![0; wanted - text.len()];
        let taken = receive_some(&socket, &mut part, &mut descriptors).map_err(at("policy"))?;
        if taken == 0 {
            return Err(failed("the server closed the socket".into()));
        }
        text.extend_from_slice(&part[..taken]);
        if let (4, Some(length)) = (text.len(), text.first_chunk()) {
            wanted = 4 + u32::from_le_bytes(*length) as usize;
        }
        if wanted > 4 + POLICY_MAX {
            return Err(failed("it is too long".into()));
        }
    }
    Ok((serde_json::from_slice(&text[4..]).map_err(at("policy"))?, descriptors))
}

fn receive_some(
    socket: impl AsFd,
    part: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> rustix::io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let taken = rustix::io::retry_on_intr(|| {
        net::recvmsg(&socket, &mut [IoSliceMut::new(part)], &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    Ok(taken.bytes)
}

/// Tells the server something, with a descriptor where there is one. A server that is gone hears nothing, which
/// the supervisor notices by itself.
pub(super) fn tell(socket: impl AsFd, told: &Told, descriptor: Option<BorrowedFd<'_>>) {
    let Ok(mut line) = serde_json::to_vec(told) else { return };
    line.push(b'\n');
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors: Vec<BorrowedFd<'_>> = descriptor.into_iter().collect();
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
    }
    let _ = net::sendmsg(&socket, &[IoSlice::new(&line)], &mut control, SendFlags::NOSIGNAL);
}
