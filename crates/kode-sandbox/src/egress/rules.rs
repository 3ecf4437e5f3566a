//! The allow-list of a template: which hosts its processes may ask for, by name and port.
//!
//! What never belongs here: addresses that a name resolves to. A rule lets a name be asked for; whether it leads to
//! the outside world is judged after it was resolved, whatever the rules say.

use kode_core::sandbox::FileError;

use super::address;
use super::host::{self, Host, Misspelled};

/// The ports of a rule that names none: HTTPS and HTTP.
const USUAL_PORTS: [u16; 2] = [443, 80];

/// The hosts that processes may reach. Nothing is allowed that no rule names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules(Vec<Rule>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    who: Who,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Who {
    Exactly(Host),
    /// Every name strictly below this one.
    Below(String),
}

impl Rules {
    /// Reads the entries of a template's `sandbox.network`:
    ///
    /// - `api.example.com`, a name, and nothing below it;
    /// - `*.example.com`, every name below it, and not itself;
    /// - `1.1.1.1` or `[2606:4700::1111]`, a literal address of the outside world;
    /// - any of them with `:port`. Without it, 443 and 80 are meant.
    ///
    /// An empty list allows nothing.
    ///
    /// # Errors
    /// The first entry that is none of these, and what to write in its place.
    pub fn parse(entries: &[String]) -> Result<Self, BadRule> {
        let read = |(index, entry): (usize, &String)| {
            rule(entry).map_err(|why| BadRule { index, entry: shown(entry), why })
        };
        entries.iter().enumerate().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Whether nothing is allowed, so that a proxy could only refuse.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a process may ask for the host at the port.
    pub(super) fn allow(&self, host: &Host, port: u16) -> bool {
        self.0.iter().any(|rule| rule.allows(host, port))
    }
}

impl Rule {
    fn allows(&self, host: &Host, port: u16) -> bool {
        let named = match &self.who {
            Who::Exactly(this) => this == host,
            Who::Below(domain) => host.is_below(domain),
        };
        named && self.port.map_or(USUAL_PORTS.contains(&port), |only| only == port)
    }
}

fn rule(entry: &str) -> Result<Rule, String> {
    if let Some(domain) = entry.strip_prefix("*.") {
        return match spelled(host::authority(domain))? {
            (Host::Name(domain), port) => Ok(Rule { who: Who::Below(domain), port }),
            (Host::Address(_), _) => Err("has a wildcard before an address; write the addresses".into()),
        };
    }
    if entry.contains('*') {
        return Err(
            "has a * in a place where none is read; write *.example.com for every name below a domain, \
                    there is no rule for all hosts"
                .into(),
        );
    }
    let (host, port) = spelled(literal(entry).unwrap_or_else(|| host::authority(entry)))?;
    if let Host::Address(address) = host
        && let Some(word) = address::closed(address)
    {
        return Err(format!("is not an address of the outside world ({word}), which no rule can open"));
    }
    Ok(Rule { who: Who::Exactly(host), port })
}

/// An IPv6 address without brackets, which in a rule can mean nothing else.
fn literal(entry: &str) -> Option<Result<(Host, Option<u16>), Misspelled>> {
    let bare = !entry.starts_with('[') && entry.bytes().filter(|b| *b == b':').count() > 1;
    bare.then(|| host::v6(entry).map(|host| (host, None)))
}

fn spelled<T>(read: Result<T, Misspelled>) -> Result<T, String> {
    read.map_err(|why| why.to_string())
}

/// Something foreign, short and printable.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(255).flat_map(char::escape_default).collect()
}

/// An entry of `sandbox.network` that is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("sandbox.network[{index}]: \"{entry}\" {why}")]
pub struct BadRule {
    index: usize,
    entry: String,
    why: String,
}

impl BadRule {
    /// Its place in the list, from 0.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }
}

/// As opening a work directory says it.
impl From<BadRule> for FileError {
    fn from(bad: BadRule) -> Self {
        let BadRule { index, entry, why } = bad;
        Self::Io { path: format!("sandbox.network[{index}]"), why: format!("\"{entry}\" {why}") }
    }
}

#[cfg(test)]
mod tests;
