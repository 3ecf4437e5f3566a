//! The network of a sandbox: a loopback with nothing behind it, and the one socket by which the server's proxy is
//! reached. What may be reached through it is none of the helper's affair.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, ipproto, listen, socket_with};

use super::{Failed, at};
use crate::egress;
use crate::sys;

/// Makes the loopback of a new network namespace usable.
pub(super) fn loopback_up() -> Result<(), Failed> {
    let any = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None);
    sys::loopback_up(any.map_err(at("loopback"))?).map_err(at("loopback"))
}

/// A socket of this network namespace, on which the server itself accepts.
pub(super) fn listener() -> Result<OwnedFd, Failed> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, Some(ipproto::TCP))
        .map_err(at("egress"))?;
    let address: SocketAddr = egress::ADDRESS.parse().map_err(at("egress"))?;
    bind(&socket, &address).map_err(at("egress"))?;
    listen(&socket, 64).map_err(at("egress"))?;
    Ok(socket)
}
