//! What is too old to be told: where the events begin that are still kept.

use crate::id::{AgentId, Cursor, Millis, Seq};
use crate::store::{After, Store, StoreError};

/// The last cursor of the entries that were made before a time. Time never runs backwards within a journal, so
/// the place is found by bisecting it.
pub(super) async fn oldest(store: &dyn Store, id: &AgentId, time: Millis) -> Result<Cursor, StoreError> {
    let head = store.head(id).await?.unwrap_or_default();
    let (mut old, mut end, mut cursor) = (Seq::ZERO, head.seq, Cursor::ZERO);
    while old < end {
        let middle = Seq(old.0 + (end.0 - old.0) / 2);
        let next = store.read(id, After::Seq(middle), 1).await?;
        match next.first().filter(|entry| entry.at < time) {
            Some(entry) => (old, cursor) = (entry.seq, cursor.max(entry.last_cursor())),
            None => end = middle,
        }
    }
    Ok(cursor)
}
