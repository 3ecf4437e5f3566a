//! Cases: what a read gives, from a seq and from a cursor.

use kode_core::fact::Entry;
use kode_core::id::{AgentId, Cursor, Seq};
use kode_core::store::{After, Catalog, Checkpoints, Durability, Head, Journal, Leases, Store};

use super::Bench;
use super::pen::{NOW, Pen, all, chunk, id, seqs, step};

async fn read(store: &impl Store, agent: &AgentId, after: After, limit: usize) -> Vec<Entry> {
    store.read(agent, after, limit).await.expect("the journal can be read")
}

/// Neither reads nor looks leave anything behind.
pub async fn an_unknown_agent_reads_as_nothing_and_is_not_made<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("nobody"));
    assert_eq!(all(&store, &agent).await, []);
    assert_eq!(read(&store, &agent, After::Cursor(Cursor(77)), 10).await, []);
    assert_eq!(store.head(&agent).await, Ok(None));
    assert_eq!(store.load_checkpoint(&agent).await, Ok(None));
    assert_eq!(store.list("", None, 10).await, Ok(vec![]));
    assert_eq!(store.unfinished().await, Ok(vec![]));
}

/// Also from the middle of a batch, and beyond the end.
pub async fn after_a_seq_come_the_higher_ones<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    pen.write(&store, vec![step(1), step(2), step(3)]).await;
    pen.write(&store, vec![step(4), step(5)]).await;
    for after in 0..=7 {
        let expected: Vec<u64> = (after + 1..=5).collect();
        assert_eq!(seqs(&read(&store, &agent, After::Seq(Seq(after)), 100).await), expected);
    }
}

/// Whatever the size of pages and batches, and whichever position is carried from page to page.
pub async fn pages_join_to_the_whole<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    for size in [1, 5, 2, 1, 9, 3, 4] {
        pen.write(&store, (0..size).map(step).collect()).await;
    }
    let whole = all(&store, &agent).await;
    for limit in [1, 2, 3, 7, 24, 25, 26] {
        let (mut by_seq, mut by_cursor) = (Vec::new(), Vec::new());
        loop {
            let place = by_seq.last().map_or(Seq::ZERO, |entry: &Entry| entry.seq);
            let page = read(&store, &agent, After::Seq(place), limit).await;
            let place = by_cursor.last().map_or(Cursor::ZERO, Entry::last_cursor);
            by_cursor.extend(read(&store, &agent, After::Cursor(place), limit).await);
            let at_head = page.len() < limit;
            by_seq.extend(page);
            if at_head {
                break;
            }
        }
        assert_eq!((&by_seq, &by_cursor), (&whole, &whole), "pages of {limit}");
    }
}

/// A limit of zero asks for nothing.
pub async fn a_page_of_nothing_is_empty<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    Pen::take(&store, &agent).await.write_steps(&store, 2).await;
    assert_eq!(read(&store, &agent, After::Seq(Seq::ZERO), 0).await, []);
}

/// From each cursor ever told, the next entry is the one that tells the next event: also within an entry.
pub async fn g4_after_a_cursor_comes_each_later_event_once<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    pen.write(&store, vec![step(1)]).await;
    pen.write_chunk(&store, "x", 5).await;
    let mut pen = Pen::take(&store, &agent).await;
    pen.write(&store, vec![step(2), step(3)]).await;
    pen.write_chunk(&store, "y", 3).await;
    let whole = all(&store, &agent).await;
    let cursors = whole.iter().flat_map(|e| e.cursor.0..=e.last_cursor().0).map(Cursor);
    for cursor in cursors.chain([Cursor::ZERO]) {
        let expected: Vec<_> = whole.iter().filter(|e| e.last_cursor() > cursor).cloned().collect();
        assert_eq!(read(&store, &agent, After::Cursor(cursor), 100).await, expected, "after {cursor}");
    }
    assert_eq!(read(&store, &agent, After::Cursor(Cursor(1 << 52)), 100).await, []);
}

/// Entries that tell nothing are passed over before the first event asked for, and kept behind it.
pub async fn entries_without_events_are_kept_once_something_is_told<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    let told = [0, 2, 0, 0, 1, 0, 0, 3, 0];
    let batch = pen.entries(told.map(|events| (chunk("x", events), events)));
    for lines in [&batch[..4], &batch[4..5], &batch[5..7], &batch[7..]] {
        pen.try_write(&store, lines, Durability::Synced).await.expect("the append is in order");
    }
    let first = Cursor::start_of(pen.epoch());
    let from = async |count| seqs(&read(&store, &agent, After::Cursor(first.plus(count)), 100).await);
    assert_eq!(from(0).await, [2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(from(1).await, [2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(from(2).await, [5, 6, 7, 8, 9]);
    assert_eq!(from(3).await, [8, 9]);
    assert_eq!(from(5).await, [8, 9]);
    assert_eq!(from(6).await, [0; 0]);
}

/// A cursor of which the event is gone is still a place: before everything of later epochs.
pub async fn a_cursor_in_a_lost_tail_goes_on_with_what_came_after<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    pen.write(&store, vec![step(1)]).await;
    let lost = Cursor::start_of(pen.epoch()).plus(5_000);
    assert_eq!(read(&store, &agent, After::Cursor(lost), 10).await, []);
    let mut pen = Pen::take(&store, &agent).await;
    let silent = pen.entries([(chunk("", 0), 0)]);
    pen.try_write(&store, &silent, Durability::Synced).await.expect("the append is in order");
    assert_eq!(read(&store, &agent, After::Cursor(lost), 10).await, []);
    let told = pen.write(&store, vec![step(2), step(3)]).await;
    assert_eq!(read(&store, &agent, After::Cursor(lost), 10).await, told);
}

/// Seq, epoch and cursor of the last entry, with or without a lease.
pub async fn the_head_is_the_last_entry<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take(&store, &agent).await;
    assert_eq!(store.head(&agent).await, Ok(None));
    pen.write(&store, vec![step(1)]).await;
    pen.write_chunk(&store, "x", 7).await;
    let cursor = Cursor::start_of(pen.epoch()).plus(8);
    let head = Head { seq: Seq(2), epoch: pen.epoch(), cursor };
    assert_eq!(store.head(&agent).await, Ok(Some(head)));
    store.release(pen.lease, true).await.expect("a lease can be given back");
    assert_eq!(store.head(&agent).await, Ok(Some(head)));
    drop(store);
    assert_eq!(bench.open().await.head(&agent).await, Ok(Some(head)));
}

/// Scenario 32. Upstream truncates a file before it writes it again, and readers find nothing \[S\].
/// While someone writes, each read is a prefix of what will have been written, and no shorter than the last.
pub async fn a_reader_beside_a_writer_sees_a_growing_whole<B: Bench>(bench: B) {
    let (store, agent) = (bench.open().await, id("a"));
    let mut pen = Pen::take_at(&store, &agent, NOW).await;
    let writer = async {
        for _ in 0..30 {
            pen.write_chunk(&store, "x", 3).await;
            pen.write(&store, vec![step(1), step(2)]).await;
        }
    };
    let reader = async {
        let mut seen: Vec<Vec<Entry>> = vec![Vec::new()];
        while seen.last().is_none_or(|last| last.len() < 90) {
            let there = all(&store, &agent).await;
            // Scenario 32: who has seen the agent never finds it missing, however much is being written.
            let head = store.head(&agent).await.expect("the head can be read");
            assert!(there.is_empty() || head.is_some(), "the agent is there and its head is not");
            seen.push(there);
            tokio::task::yield_now().await;
        }
        seen
    };
    let ((), seen) = futures_util::join!(writer, reader);
    let whole = all(&store, &agent).await;
    assert!(seen.is_sorted_by_key(Vec::len));
    for part in seen {
        assert_eq!(part, whole[..part.len()]);
    }
}
