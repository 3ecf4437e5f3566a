//! Which addresses the outside world has: the only place that judges one.
//!
//! What never belongs here: names, ports, a setting. No configuration opens a range that is closed here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is not of the outside world in IPv4, as (first address, bits, word). From IANA's registry of special-purpose
/// addresses, and multicast, and what clouds use for themselves.
const CLOSED_V4: &[(Ipv4Addr, u32, &str)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8, "unspecified"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "shared by a carrier"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    // The server that a virtual machine in Azure is told its secrets by has a public address.
    (Ipv4Addr::new(168, 63, 129, 16), 32, "cloud metadata"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "reserved"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "reserved"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "benchmarking"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
];

/// What is not of the outside world within `2000::/3`, the only part of IPv6 that is given out.
const CLOSED_V6: &[(Ipv6Addr, u32, &str)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "reserved"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "documentation"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "documentation"),
];

/// In a word why no process may reach the address; `None` if it is one of the outside world's.
pub(super) fn closed(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => closed_v4(v4),
        IpAddr::V6(v6) => closed_v6(v6),
    }
}

fn closed_v4(address: Ipv4Addr) -> Option<&'static str> {
    let within = |(first, bits, _): &&(Ipv4Addr, u32, _)| {
        (address.to_bits() ^ first.to_bits()).leading_zeros() >= *bits
    };
    CLOSED_V4.iter().find(within).map(|(_, _, word)| *word)
}

/// An address that leads to an IPv4 address is judged as that one; what is not given out is closed.
fn closed_v6(address: Ipv6Addr) -> Option<&'static str> {
    if let Some(inner) = embedded(address) {
        return inner.into_iter().find_map(closed_v4);
    }
    let within = |(first, bits, _): &&(Ipv6Addr, u32, _)| {
        (address.to_bits() ^ first.to_bits()).leading_zeros() >= *bits
    };
    match address.segments()[0] {
        0x2000..=0x3fff => CLOSED_V6.iter().find(within).map(|(_, _, word)| *word),
        0xfc00..=0xfdff => Some("private"),
        0xfe80..=0xfebf => Some("link-local"),
        0xfec0..=0xfeff => Some("site-local"),
        0xff00..=0xffff => Some("multicast"),
        _ if address.is_loopback() => Some("loopback"),
        _ => Some("reserved"),
    }
}

/// The IPv4 addresses that an IPv6 address would be carried to by a translator or a tunnel.
fn embedded(address: Ipv6Addr) -> Option<Vec<Ipv4Addr>> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        // The unspecified address and loopback look like compatible ones.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // Compatible, mapped, translated (SIIT).
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => {
            Some(vec![v4(high, low)])
        }
        // NAT64 with the well-known prefix. The one for local use is not given out, so it is closed.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(vec![v4(high, low)]),
        // 6to4: the router that it is sent to.
        [0x2002, high, low, ..] => Some(vec![v4(high, low)]),
        // Teredo: the server, and the client, whose bits are turned.
        [0x2001, 0, high, low, _, _, turned_high, turned_low] => {
            Some(vec![v4(high, low), v4(!turned_high, !turned_low)])
        }
        // ISATAP, whatever the prefix.
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => Some(vec![v4(high, low)]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judge(text: &str) -> Option<&'static str> {
        closed(text.parse().unwrap())
    }

    #[test]
    fn the_outside_world_is_open() {
        let open = [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.255",
            "203.0.112.255",
            "203.0.114.0",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2001:4860:4860::8888",
            "2001:200::",
            "3ffe:ffff::1",
            "::ffff:8.8.8.8",
            "::8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
            "2001:0:808:808::f7f7:f7f7",
            "2606:4700::5efe:808:808",
        ];
        for address in open {
            assert_eq!(judge(address), None, "{address}");
        }
    }

    #[test]
    fn everything_else_is_closed() {
        let closed = [
            ("0.0.0.0", "unspecified"),
            ("0.255.255.255", "unspecified"),
            ("10.0.0.0", "private"),
            ("10.255.255.255", "private"),
            ("100.64.0.0", "shared by a carrier"),
            ("100.100.100.200", "shared by a carrier"),
            ("100.127.255.255", "shared by a carrier"),
            ("127.0.0.1", "loopback"),
            ("127.255.255.255", "loopback"),
            ("168.63.129.16", "cloud metadata"),
            ("169.254.169.254", "link-local"),
            ("172.16.0.0", "private"),
            ("172.31.255.255", "private"),
            ("192.0.0.192", "reserved"),
            ("192.0.2.1", "documentation"),
            ("192.88.99.1", "reserved"),
            ("192.168.255.255", "private"),
            ("198.18.0.0", "benchmarking"),
            ("198.19.255.255", "benchmarking"),
            ("198.51.100.7", "documentation"),
            ("203.0.113.7", "documentation"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "reserved"),
            ("::", "reserved"),
            ("::1", "loopback"),
            ("::2", "unspecified"),
            ("::127.0.0.1", "loopback"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:169.254.169.254", "link-local"),
            ("::ffff:0:10.0.0.1", "private"),
            ("64:ff9b::169.254.169.254", "link-local"),
            ("64:ff9b:1::8.8.8.8", "reserved"),
            ("100::1", "reserved"),
            ("2001:0:808:808::f5ff:fffe", "private"),
            ("2001:0:a00:1::f7f7:f7f7", "private"),
            ("2001:2::1", "reserved"),
            ("2001:20::1", "reserved"),
            ("2001:db8::1", "documentation"),
            ("2002:a00:1::1", "private"),
            ("2002:7f00:1::1", "loopback"),
            ("2606:4700::5efe:a00:1", "private"),
            ("2606:4700::200:5efe:7f00:1", "loopback"),
            ("3fff::1", "documentation"),
            ("4000::1", "reserved"),
            ("5f00::1", "reserved"),
            ("fc00::1", "private"),
            ("fd00:ec2::254", "private"),
            ("fe80::1", "link-local"),
            ("fec0::1", "site-local"),
            ("ff02::1", "multicast"),
        ];
        for (address, word) in closed {
            assert_eq!(judge(address), Some(word), "{address}");
        }
    }

    /// The same said without prefixes: by the standard library's words, and by octets where it has none.
    fn closed_otherwise(a: Ipv4Addr) -> bool {
        let octets = a.octets();
        a.is_private()
            || a.is_loopback()
            || a.is_link_local()
            || a.is_multicast()
            || a.is_broadcast()
            || a.is_documentation()
            || octets[0] == 0
            || octets[0] >= 240
            || (octets[0] == 100 && (64..128).contains(&octets[1]))
            || (octets[0] == 198 && (18..20).contains(&octets[1]))
            || matches!(octets, [192, 0, 0, _] | [192, 88, 99, _] | [168, 63, 129, 16])
    }

    /// Any address, and more often one near the edge of a closed range.
    fn any_v4() -> impl Strategy<Value = Ipv4Addr> {
        let edge = (0..CLOSED_V4.len(), -2_i64..=2, any::<bool>()).prop_map(|(index, off, end)| {
            let (first, bits, _) = CLOSED_V4[index];
            let length = if end { 1_i64 << (32 - bits) } else { 0 };
            Ipv4Addr::from_bits((i64::from(first.to_bits()) + length + off) as u32)
        });
        prop_oneof![any::<u32>().prop_map(Ipv4Addr::from_bits), edge]
    }

    proptest! {
        #[test]
        fn the_table_says_what_the_standard_library_says(address in any_v4()) {
            prop_assert_eq!(closed(address.into()).is_some(), closed_otherwise(address), "{}", address);
        }

        #[test]
        fn an_address_in_an_address_is_judged_as_itself(address in any_v4(), prefix in any::<u16>()) {
            let expected = closed(address.into()).is_some();
            let [a, b, c, d] = address.octets().map(u16::from);
            let (high, low) = (a << 8 | b, c << 8 | d);
            let ways = [
                address.to_ipv6_mapped(),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, prefix, 0, 0, 0, 1),
                Ipv6Addr::new(0x2001, 0, 0x808, 0x808, 0, prefix, !high, !low),
                Ipv6Addr::new(0x2606, prefix, 0, 0, 0, 0x5efe, high, low),
            ];
            for way in ways {
                prop_assert_eq!(closed(way.into()).is_some(), expected, "{} as {}", address, way);
            }
        }

        #[test]
        fn only_what_is_given_out_is_open(bits in any::<u128>()) {
            let address = Ipv6Addr::from_bits(bits);
            if embedded(address).is_none() && bits >> 125 != 1 {
                prop_assert!(closed(address.into()).is_some(), "{}", address);
            }
        }
    }
}
