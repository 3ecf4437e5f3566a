//! One entry as it is kept: its JSON, which begins with its place and its cursors. Pure.
//!
//! The server's functions read that beginning (`scripts/read_cursor.lua`), so its form is part of the format.

use kode_core::fact::Entry;
use kode_core::id::AgentId;
use kode_core::store::{Damage, StoreError, StoreResult};

/// The format that this version writes, and the only one that it reads.
pub(crate) const FORMAT: &str = "1";

/// An entry's text.
pub(crate) fn text(entry: &Entry) -> Vec<u8> {
    serde_json::to_vec(entry).expect("entries are made of what JSON has")
}

/// The entries of these texts.
///
/// # Errors
/// `Damaged` at the first that is none.
pub(crate) fn entries(agent: &AgentId, texts: &[Vec<u8>]) -> StoreResult<Vec<Entry>> {
    let mut entries: Vec<Entry> = Vec::with_capacity(texts.len());
    for text in texts {
        let after = entries.last().map_or(0, |entry| entry.seq.0);
        let damaged = |what: String| {
            let place = format!("the log of {agent}, behind entry {after} of what was read");
            StoreError::Damaged(Damage { agent: agent.clone(), place, what })
        };
        let entry: Entry = serde_json::from_slice(text).map_err(|e| damaged(format!("no entry: {e}")))?;
        if entry.seq.0 <= after {
            return Err(damaged(format!("entry {} is out of its order", entry.seq)));
        }
        entries.push(entry);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use kode_core::id::{Cursor, Epoch, Seq};
    use kode_testkit::store_suite::facts;

    use super::*;

    fn entry(seq: u64) -> Entry {
        let fact = facts::every_kind().remove(0);
        Entry { seq: Seq(seq), epoch: Epoch(7), at: 9, cursor: Cursor(1 << 52), events: 2, fact }
    }

    #[test]
    fn a_text_begins_as_the_servers_functions_read_it() {
        let text = String::from_utf8(text(&entry(3))).unwrap();
        let header = r#"{"seq":3,"epoch":7,"at":9,"cursor":4503599627370496,"events":2,"#;
        assert!(text.starts_with(header), "{text}");
    }

    #[test]
    fn g7_what_is_no_entry_is_damage_and_says_where() {
        let agent = AgentId::new("a").unwrap();
        let read = |texts: &[Vec<u8>]| entries(&agent, texts);
        assert_eq!(read(&[text(&entry(1)), text(&entry(4))]), Ok(vec![entry(1), entry(4)]));
        for bad in [b"{}".to_vec(), text(&entry(1)), text(&entry(3))[..20].to_vec()] {
            let refused = read(&[text(&entry(1)), bad]);
            let Err(StoreError::Damaged(damage)) = refused else { panic!("{refused:?}") };
            assert!(damage.place.contains("behind entry 1"), "{damage}");
        }
    }
}
