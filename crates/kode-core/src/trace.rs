//! Where something stands in a trace: the W3C's `traceparent`, as requests carry it and messages keep it.
//!
//! The core hands it on and makes none: who traces, and whether anybody does, is the host's to say.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A place in a trace: `00-<trace id>-<span id>-<flags>`, checked, in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceParent(String);

/// The text is no `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a traceparent is 00-<32 hexadecimal digits>-<16>-<2>, and no id of it is zero")]
pub struct InvalidTraceParent;

/// Bytes of version 00, and of the part that later versions share with it.
const LENGTH: usize = 55;

impl TraceParent {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The trace's id: 32 digits.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        &self.0[3..35]
    }

    /// The id of the span that is the parent of what follows: 16 digits.
    #[must_use]
    pub fn span_id(&self) -> &str {
        &self.0[36..52]
    }

    /// Whether the trace is being written down by those before.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        u8::from_str_radix(&self.0[53..], 16).is_ok_and(|flags| flags & 1 == 1)
    }
}

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    /// Takes a later version for what it shares with 00, as the standard asks.
    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        let head = text.get(..LENGTH).ok_or(InvalidTraceParent)?;
        let parts: Vec<&str> = head.split('-').collect();
        let [version, trace, span, flags] = parts[..] else { return Err(InvalidTraceParent) };
        let whole = [(version, 2), (trace, 32), (span, 16), (flags, 2)].iter().all(|(part, digits)| {
            part.len() == *digits && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        });
        let ends_well = match version {
            "00" => text.len() == LENGTH,
            _ => text.len() == LENGTH || text.as_bytes()[LENGTH] == b'-',
        };
        let named = trace.bytes().any(|b| b != b'0') && span.bytes().any(|b| b != b'0');
        if whole && ends_well && named && version != "ff" {
            return Ok(Self(format!("00{}", &head[2..])));
        }
        Err(InvalidTraceParent)
    }
}

impl TryFrom<String> for TraceParent {
    type Error = InvalidTraceParent;

    fn try_from(text: String) -> Result<Self, InvalidTraceParent> {
        text.parse()
    }
}

impl From<TraceParent> for String {
    fn from(parent: TraceParent) -> Self {
        parent.0
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_good_one_is_taken_apart() {
        let parent: TraceParent = GOOD.parse().unwrap();
        assert_eq!(parent.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(parent.span_id(), "00f067aa0ba902b7");
        assert!(parent.is_sampled());
        assert!(!GOOD.replace("-01", "-00").parse::<TraceParent>().unwrap().is_sampled());
        assert_eq!(serde_json::from_str::<TraceParent>(&format!("{GOOD:?}")).unwrap(), parent);
    }

    #[test]
    fn a_later_version_is_taken_for_what_it_shares() {
        let later = GOOD.replacen("00", "42", 1);
        assert_eq!(format!("{later}-more").parse::<TraceParent>().unwrap().as_str(), GOOD);
        assert!(format!("{later}more").parse::<TraceParent>().is_err());
    }

    #[test]
    fn anything_else_is_none() {
        let bad = [
            String::new(),
            GOOD.to_uppercase(),
            format!("{GOOD}-more"),
            GOOD.replacen("00", "ff", 1),
            GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
            GOOD.replace("4bf", "4-f"),
            GOOD.replace('4', "ä"),
            "é".repeat(40),
        ];
        for text in bad {
            assert_eq!(text.parse::<TraceParent>(), Err(InvalidTraceParent), "{text}");
        }
    }
}
