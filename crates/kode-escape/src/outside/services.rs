//! What listens on the host: it greets whoever comes, and hands out a descriptor. The threads end with the process.

use std::fs::File;
use std::io::{self, IoSlice, Write as _};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

use crate::targets::Targets;

const GREETING: &[u8] = b"hello";

/// Opens all doors and says where they are.
pub(super) fn open(base: &Path, to: &mut Targets) -> io::Result<()> {
    to.tcp4 = greet(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?)?;
    // A host without IPv6 has nothing to reach there.
    to.tcp6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).and_then(greet).unwrap_or(0);
    to.udp = echo()?;
    to.lan = own_address().unwrap_or_default();
    to.reached = come()?;
    let secret = Arc::new(File::open(base.join("secret"))?);
    let name = format!("kode-escape-{}", base.display());
    (to.stream, to.datagram) = (path(base, "stream"), path(base, "datagram"));
    (to.abstract_stream, to.abstract_datagram) = (format!("{name}-stream"), format!("{name}-datagram"));
    hand_out(UnixListener::bind(&to.stream)?, secret.clone());
    let address = SocketAddr::from_abstract_name(&to.abstract_stream)?;
    hand_out(UnixListener::bind_addr(&address)?, secret);
    take(UnixDatagram::bind(&to.datagram)?);
    take(UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&to.abstract_datagram)?)?);
    Ok(())
}

fn path(base: &Path, name: &str) -> String {
    base.join(name).to_string_lossy().into_owned()
}

fn greet(listener: TcpListener) -> io::Result<u16> {
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = (&stream).write_all(GREETING);
        }
    });
    Ok(port)
}

fn echo() -> io::Result<u16> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let port = socket.local_addr()?.port();
    thread::spawn(move || {
        let mut bytes = [0; 64];
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            let _ = socket.send_to(&bytes[..length], from);
        }
    });
    Ok(port)
}

/// The address by which the host would go out; nothing is sent to find it.
fn own_address() -> Option<String> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then(|| address.to_string())
}

/// Knocks at a port on which nobody listens, again and again.
fn come() -> io::Result<u16> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    thread::spawn(move || {
        loop {
            let address = (Ipv4Addr::LOCALHOST, port).into();
            let _ = TcpStream::connect_timeout(&address, Duration::from_millis(50));
            thread::park_timeout(Duration::from_millis(20));
        }
    });
    Ok(port)
}

fn hand_out(listener: UnixListener, secret: Arc<File>) {
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = send(&stream, &secret);
        }
    });
}

fn send(stream: &UnixStream, secret: &File) -> rustix::io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [secret.as_fd()];
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    rustix::net::sendmsg(stream, &[IoSlice::new(GREETING)], &mut control, SendFlags::NOSIGNAL)
}

fn take(socket: UnixDatagram) {
    thread::spawn(move || {
        let mut bytes = [0; 64];
        while socket.recv(&mut bytes).is_ok() {}
    });
}
