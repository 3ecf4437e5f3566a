//! Upstream's agent ids as ours: any text becomes a legal id from which the text can be read back, or is refused.

use std::fmt::Write as _;

use kode_core::id::{AgentId, InvalidAgentId};

/// Begins a byte that an id may not hold as it is, in two hex digits.
const ESCAPE: u8 = b'~';

/// The id of an agent that upstream calls `name`. Two names never get the same id: what an id may not hold becomes
/// `~` and two hex digits, and so does `~` itself.
///
/// # Errors
/// The name is empty, or too long once it is written in this way.
pub fn agent_id(name: &str) -> Result<AgentId, InvalidAgentId> {
    let mut id = String::with_capacity(name.len());
    for (at, byte) in name.bytes().enumerate() {
        let first = at == 0 && matches!(byte, b'.' | b'-');
        if first || !(byte.is_ascii_alphanumeric() || b"._:@-".contains(&byte)) {
            // Writing to a String cannot fail.
            let _ = write!(id, "{}{byte:02X}", char::from(ESCAPE));
        } else {
            id.push(char::from(byte));
        }
    }
    AgentId::new(id)
}

/// Upstream's name of an agent that was imported under this id; `None` for an id that no import gives.
#[must_use]
pub fn upstream_name(id: &AgentId) -> Option<String> {
    let mut bytes = id.as_str().bytes();
    let mut name = Vec::new();
    while let Some(byte) = bytes.next() {
        name.push(if byte == ESCAPE { digit(bytes.next()?)? << 4 | digit(bytes.next()?)? } else { byte });
    }
    let name = String::from_utf8(name).ok()?;
    agent_id(&name).is_ok_and(|again| again == *id).then_some(name)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_legal_name_stays_as_it_is_and_others_are_written_out() {
        let id = |name| agent_id(name).map(|id| id.to_string());
        assert_eq!(id("agt-01HXYZ").unwrap(), "agt-01HXYZ");
        assert_eq!(id("user:1").unwrap(), "user:1");
        assert_eq!(id("user/1").unwrap(), "user~2F1");
        assert_eq!(id("-x").unwrap(), "~2Dx");
        assert_eq!(id("..").unwrap(), "~2E.");
        assert_eq!(id("a~b").unwrap(), "a~7Eb");
        assert_eq!(id("阿").unwrap(), "~E9~98~BF");
        assert_eq!(agent_id(""), Err(InvalidAgentId::Empty));
        assert_eq!(agent_id(&"阿".repeat(30)), Err(InvalidAgentId::TooLong(270)));
    }

    #[test]
    fn an_id_that_no_import_gives_has_no_upstream_name() {
        for foreign in ["a~", "a~2", "a~zz", "a~62", "~FF"] {
            assert_eq!(upstream_name(&AgentId::new(foreign).unwrap()), None, "{foreign}");
        }
    }

    proptest! {
        #[test]
        fn any_name_can_be_read_back(name in "\\PC{1,40}") {
            if let Ok(id) = agent_id(&name) {
                prop_assert_eq!(upstream_name(&id), Some(name));
            }
        }
    }
}
