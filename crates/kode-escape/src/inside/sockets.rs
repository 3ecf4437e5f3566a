//! Unix sockets of the host's, and the descriptors that come over them.

use std::io::{IoSliceMut, Read as _};
use std::mem::MaybeUninit;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags, SocketType,
};

use super::ground::secret;
use crate::attempt::{Attempt, Outcome, attempt, had, stopped, when};

const SERVICES: &str = "the host's services, such as a container engine's";
const PATIENCE: Duration = Duration::from_millis(400);

pub(super) const ATTEMPTS: &[Attempt] = &[
    attempt("connect_socket_by_path", SERVICES, |to| greeted(UnixStream::connect(&to.stream)?)),
    attempt("connect_socket_by_link", SERVICES, |to| {
        std::os::unix::fs::symlink(&to.stream, "socket-link")?;
        greeted(UnixStream::connect("socket-link")?)
    }),
    attempt("connect_abstract_socket", SERVICES, |to| {
        let address = SocketAddr::from_abstract_name(&to.abstract_stream)?;
        greeted(UnixStream::connect_addr(&address)?)
    }),
    attempt("send_to_socket_by_path", SERVICES, |to| {
        let socket = UnixDatagram::unbound()?;
        socket.connect(&to.datagram)?;
        had(socket.send(b"hello")?)
    }),
    attempt("send_to_abstract_socket", SERVICES, |to| {
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&SocketAddr::from_abstract_name(&to.abstract_datagram)?)?;
        had(socket.send(b"hello")?)
    }),
    attempt("send_by_pair_to_socket", SERVICES, |to| {
        // One of a pair is a socket like any other: it can be connected anew.
        let (kind, flags) = (SocketType::DGRAM, SocketFlags::empty());
        let (one, _other) = rustix::net::socketpair(AddressFamily::UNIX, kind, flags, None)?;
        rustix::net::connect(&one, &rustix::net::SocketAddrUnix::new(to.datagram.as_str())?)?;
        had(rustix::io::write(&one, b"hello")?)
    }),
    attempt("receive_descriptor_by_path", "descriptors that are handed out", |to| {
        receive(UnixStream::connect(&to.stream)?)
    }),
    attempt("receive_descriptor_by_abstract_name", "descriptors that are handed out", |to| {
        let address = SocketAddr::from_abstract_name(&to.abstract_stream)?;
        receive(UnixStream::connect_addr(&address)?)
    }),
    attempt("take_abstract_name", "a name that others trust", |to| {
        // A second socket of the name could only be made where the first is not.
        let name = format!("{}-also", to.abstract_stream);
        let _own = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        let text = std::fs::read_to_string(format!("/proc/{}/net/unix", to.server))?;
        when(text.contains(&name), "the server can reach it")
    }),
];

fn greeted(mut stream: UnixStream) -> Outcome {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut greeting = [0; 5];
    stream.read_exact(&mut greeting)?;
    when(&greeting == b"hello", "a greeting")
}

fn receive(stream: UnixStream) -> Outcome {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut bytes = [0; 5];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    rustix::net::recvmsg(&stream, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::empty())?;
    let come = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut rights) => rights.next(),
        _ => None,
    });
    let Some(fd) = come else { return stopped("no descriptor came") };
    let mut held = [0; 64];
    let length = rustix::io::pread(&fd, &mut held, 0)?;
    secret(&held[..length])
}
