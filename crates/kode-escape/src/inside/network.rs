//! The network: the host's services, its neighbours, and doors into the kernel that look like sockets.

use std::io::Read as _;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use super::ground::call;
use crate::attempt::{Attempt, Outcome, absent, attempt, had, stopped, when};

const SERVICES: &str = "the host's services";
const SEEN: &str = "the host's network to look at";
const KERNEL: &str = "a wide door into the kernel";
const FORGED: &str = "packets of its own making";
const PATIENCE: Duration = Duration::from_millis(400);

pub(super) const ATTEMPTS: &[Attempt] = &[
    attempt("connect_loopback", SERVICES, |to| connect((Ipv4Addr::LOCALHOST, to.tcp4).into())),
    attempt("connect_loopback_6", SERVICES, |to| match to.tcp6 {
        0 => absent("there is no IPv6"),
        port => connect((Ipv6Addr::LOCALHOST, port).into()),
    }),
    attempt("connect_loopback_mapped", SERVICES, |to| match to.tcp6 {
        0 => absent("there is no IPv6"),
        _ => connect((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), to.tcp4).into()),
    }),
    attempt("connect_any_address", SERVICES, |to| connect((Ipv4Addr::UNSPECIFIED, to.tcp4).into())),
    attempt("connect_host_address", SERVICES, |to| match to.lan.parse::<std::net::IpAddr>() {
        Ok(address) => connect((address, to.tcp4).into()),
        Err(_) => absent("the host has no address but loopback"),
    }),
    attempt("send_datagram", SERVICES, |to| echo((Ipv4Addr::LOCALHOST, to.udp).into())),
    attempt("send_datagram_to_host_address", SERVICES, |to| match to.lan.parse::<std::net::IpAddr>() {
        Ok(address) => echo((address, to.udp).into()),
        Err(_) => absent("the host has no address but loopback"),
    }),
    attempt("connect_with_fast_open", SERVICES, |to| {
        let socket = socket(libc::AF_INET, libc::SOCK_STREAM, 0)?;
        let mut address = [0; 16];
        address[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
        address[2..4].copy_from_slice(&to.tcp4.to_be_bytes());
        address[4..8].copy_from_slice(&[127, 0, 0, 1]);
        let mut data = *b"x";
        // MSG_FASTOPEN connects without `connect`.
        had(call!(libc::SYS_sendto, socket, &mut data[..], 1, 0x2000_0000, &mut address[..], 16)?)
    }),
    attempt("be_reached_by_the_host", "a server of its own on the host's address", |to| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, to.reached))?;
        listener.set_nonblocking(true)?;
        let give_up = Instant::now() + PATIENCE;
        while Instant::now() < give_up {
            if listener.accept().is_ok() {
                return had("the host came");
            }
            super::ground::pause(Duration::from_millis(2));
        }
        stopped("nobody came")
    }),
    attempt("see_interfaces", SEEN, |to| {
        let text = std::fs::read_to_string("/proc/net/dev")?;
        if to.interface.is_empty() {
            absent("there is none")
        } else {
            when(text.contains(&to.interface), "one")
        }
    }),
    attempt("see_host_sockets", SEEN, |to| {
        let text = std::fs::read_to_string("/proc/net/tcp")?;
        when(text.contains(&format!("0100007F:{:04X}", to.tcp4)), "the server's port")
    }),
    attempt("see_host_unix_sockets", SEEN, |to| {
        let text = std::fs::read_to_string("/proc/net/unix")?;
        when(text.contains(&to.abstract_stream), "the server's socket")
    }),
    attempt("see_host_devices", SEEN, |_| had(std::fs::read_dir("/sys/class/net")?.count())),
    attempt("open_raw_socket", FORGED, |_| had(socket(libc::AF_INET, libc::SOCK_RAW, 255)?)),
    attempt("open_icmp_socket", FORGED, |_| had(socket(libc::AF_INET, libc::SOCK_RAW, 1)?)),
    attempt("open_raw_socket_6", FORGED, |to| match to.tcp6 {
        0 => absent("there is no IPv6"),
        _ => had(socket(libc::AF_INET6, libc::SOCK_RAW, 58)?),
    }),
    attempt("open_packet_socket", FORGED, |_| had(socket(libc::AF_PACKET, libc::SOCK_RAW, 0)?)),
    attempt("open_packet_datagram_socket", FORGED, |_| had(socket(libc::AF_PACKET, libc::SOCK_DGRAM, 0)?)),
    attempt("open_route_netlink", KERNEL, |_| had(socket(libc::AF_NETLINK, libc::SOCK_RAW, 0)?)),
    attempt("open_audit_netlink", KERNEL, |_| family(libc::AF_NETLINK, libc::SOCK_RAW, 9)),
    attempt("open_diagnosis_netlink", KERNEL, |_| family(libc::AF_NETLINK, libc::SOCK_RAW, 4)),
    attempt("open_hotplug_netlink", KERNEL, |_| had(socket(libc::AF_NETLINK, libc::SOCK_RAW, 15)?)),
    attempt("open_filter_netlink", KERNEL, |_| family(libc::AF_NETLINK, libc::SOCK_RAW, 12)),
    attempt("open_generic_netlink", KERNEL, |_| had(socket(libc::AF_NETLINK, libc::SOCK_RAW, 16)?)),
    attempt("open_machine_socket", "the hypervisor's side", |_| family(libc::AF_VSOCK, libc::SOCK_STREAM, 0)),
    attempt("open_crypto_socket", KERNEL, |_| family(libc::AF_ALG, libc::SOCK_SEQPACKET, 0)),
    attempt("open_key_socket", KERNEL, |_| family(15, libc::SOCK_RAW, 2)),
    attempt("open_express_socket", KERNEL, |_| family(44, libc::SOCK_RAW, 0)),
    attempt("open_multiplexed_socket", KERNEL, |_| family(41, libc::SOCK_DGRAM, 0)),
    attempt("open_bluetooth_socket", KERNEL, |_| family(31, libc::SOCK_RAW, 1)),
    attempt("open_vehicle_socket", KERNEL, |_| family(29, libc::SOCK_RAW, 1)),
    attempt("open_cluster_socket", KERNEL, |_| family(30, libc::SOCK_STREAM, 0)),
    attempt("open_tunnel_socket", KERNEL, |_| family(24, libc::SOCK_STREAM, 0)),
    attempt("open_stream_control_socket", KERNEL, |_| family(libc::AF_INET, libc::SOCK_SEQPACKET, 132)),
    attempt("open_multipath_socket", KERNEL, |_| family(libc::AF_INET, libc::SOCK_STREAM, 262)),
    attempt("open_light_datagram_socket", KERNEL, |_| family(libc::AF_INET, libc::SOCK_DGRAM, 136)),
    attempt("open_packet_socket_pair", KERNEL, |_| {
        // Only some families have pairs; for others the kernel says so itself.
        let mut pair = [0; 8];
        super::ground::reaches_kernel(call!(
            libc::SYS_socketpair,
            libc::AF_NETLINK,
            libc::SOCK_RAW,
            0,
            &mut pair[..]
        ))
    }),
];

fn connect(address: SocketAddr) -> Outcome {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut greeting = [0; 5];
    stream.read_exact(&mut greeting)?;
    when(&greeting == b"hello", "a greeting")
}

fn echo(address: SocketAddr) -> Outcome {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send_to(b"hello", address)?;
    let mut answer = [0; 5];
    socket.recv_from(&mut answer)?;
    when(&answer == b"hello", "an answer")
}

fn socket(family: i32, kind: i32, protocol: i32) -> rustix::io::Result<i64> {
    call!(libc::SYS_socket, family, kind, protocol)
}

/// A socket of a family that not every kernel has.
fn family(family: i32, kind: i32, protocol: i32) -> Outcome {
    use rustix::io::Errno;
    match socket(family, kind, protocol) {
        Err(Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT | Errno::SOCKTNOSUPPORT) => {
            absent("this kernel has no such sockets")
        }
        answer => had(answer?),
    }
}
