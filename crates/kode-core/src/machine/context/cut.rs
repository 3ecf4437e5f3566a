//! Text that is too long keeps its head and its tail, with a note between them that says what is missing.

/// The text cut to about `most` bytes, most of them from its head; none where it is not longer.
pub(super) fn middle(text: &str, most: usize) -> Option<String> {
    between(text, most / 4 * 3, most / 4).filter(|_| text.len() > most)
}

/// The first `head` and the last `tail` bytes, at borders of characters; none where that is all. The note
/// between them comes on top.
pub(super) fn between(text: &str, head: usize, tail: usize) -> Option<String> {
    if text.len() <= head.saturating_add(tail) {
        return None;
    }
    let head = text.floor_char_boundary(head);
    let tail = text.ceil_char_boundary(text.len() - tail);
    let note = format!("\n… {} bytes were left out here …\n", tail - head);
    Some([&text[..head], &note, &text[tail..]].concat())
}
