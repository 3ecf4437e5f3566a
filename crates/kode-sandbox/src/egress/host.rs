//! How a host and its port may be spelled, in a rule as in a request: one way each.
//!
//! What never belongs here: leniency. A spelling that another program might read otherwise is refused and not
//! repaired, so what a rule was compared with is what is connected to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Characters of a whole name (RFC 1035).
const LONGEST_NAME: usize = 253;
/// Characters between two dots.
const LONGEST_LABEL: usize = 63;

/// A host in its one spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    /// In lower case, without a dot at its end, with at least one within.
    Name(String),
    /// A literal address.
    Address(IpAddr),
}

impl Host {
    /// Reads what stands before the port. Its characters were looked at.
    fn parse(text: &str) -> Result<Self, Misspelled> {
        if let Some(inner) = text.strip_prefix('[') {
            return v6(inner.strip_suffix(']').ok_or(Misspelled::Address)?);
        }
        match text.parse::<Ipv4Addr>() {
            Ok(address) => Ok(Self::Address(address.into())),
            Err(_) => name(text),
        }
    }

    /// Whether it is a name strictly below `domain`.
    pub(super) fn is_below(&self, domain: &str) -> bool {
        let Self::Name(name) = self else { return false };
        name.strip_suffix(domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
    }
}

/// As an authority has it.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// A mapped address is another spelling of an IPv4 address, which has one already.
pub(super) fn v6(text: &str) -> Result<Host, Misspelled> {
    let address: Ipv6Addr = text.parse().map_err(|_| Misspelled::Address)?;
    match address.to_ipv4_mapped() {
        Some(_) => Err(Misspelled::Mapped),
        None => Ok(Host::Address(address.into())),
    }
}

fn name(text: &str) -> Result<Host, Misspelled> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.is_empty() || text.len() > LONGEST_NAME {
        return Err(Misspelled::Length);
    }
    if text.contains([':', '[', ']']) {
        return Err(Misspelled::Character);
    }
    let name = text.to_ascii_lowercase();
    if !name.split('.').all(is_label) {
        return Err(Misspelled::Label);
    }
    let Some((_, last)) = name.rsplit_once('.') else {
        return Err(if is_number(&name) { Misspelled::Number } else { Misspelled::OneLabel });
    };
    match last {
        "localhost" => Err(Misspelled::Local),
        _ if is_number(last) => Err(Misspelled::Number),
        _ => Ok(Host::Name(name)),
    }
}

fn is_label(label: &str) -> bool {
    (1..=LONGEST_LABEL).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
}

/// What the old C functions take for a part of an IPv4 address.
fn is_number(label: &str) -> bool {
    let hexadecimal =
        label.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()));
    hexadecimal || label.bytes().all(|b| b.is_ascii_digit())
}

/// Reads `host` or `host:port`, the host being a name, an IPv4 address, or an IPv6 address in brackets.
pub(super) fn authority(text: &str) -> Result<(Host, Option<u16>), Misspelled> {
    if let Some(odd) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !"-_.:[]".contains(*c)) {
        return Err(if odd.is_ascii() { Misspelled::Character } else { Misspelled::NotAscii });
    }
    let host_ends = if text.starts_with('[') {
        text.find(']').ok_or(Misspelled::Address)? + 1
    } else {
        text.find(':').unwrap_or(text.len())
    };
    let (host, rest) = text.split_at(host_ends);
    let port = match rest.strip_prefix(':') {
        Some(digits) => Some(port(digits)?),
        None if rest.is_empty() => None,
        None => return Err(Misspelled::Character),
    };
    Ok((Host::parse(host)?, port))
}

fn port(digits: &str) -> Result<u16, Misspelled> {
    if digits.starts_with('0') || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Misspelled::Port);
    }
    digits.parse().map_err(|_| Misspelled::Port)
}

/// What is wrong with a spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misspelled {
    NotAscii,
    Length,
    Character,
    Label,
    OneLabel,
    Local,
    Number,
    Address,
    Mapped,
    Port,
}

/// What is wrong and what to write; fits "the host …".
impl fmt::Display for Misspelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAscii => "is not ASCII; write it in punycode, as in xn--bcher-kva.example",
            Self::Length => "is empty or longer than 253 characters",
            Self::Character => {
                "has a character that no host name has; write the host, and a port if need be, without a scheme, \
                 a user or a path"
            }
            Self::Label => "has an empty part, one of more than 63 characters, or one with a hyphen at its edge",
            Self::OneLabel => "is a single word, which means another host in each network; write the full name",
            Self::Local => "is the local host's name, which is never reached",
            Self::Number => "is a number; write an IPv4 address as four decimal numbers without leading zeros",
            Self::Address => "is not an IPv6 address in brackets, without a zone",
            Self::Mapped => "is an IPv4 address written as IPv6; write it as IPv4",
            Self::Port => "has a port that is not a decimal number from 1 to 65535",
        })
    }
}
