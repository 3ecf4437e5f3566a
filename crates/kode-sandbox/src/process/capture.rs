//! What a process writes, kept within bounds: its beginning and its end.

use std::collections::VecDeque;

use kode_core::sandbox::Captured;

/// Bytes of a stream's beginning that are kept.
const HEAD: usize = 256 * 1024;
/// And of its end.
const TAIL: usize = 64 * 1024;

/// One stream so far.
#[derive(Debug, Default)]
pub(super) struct Capture {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    dropped: u64,
}

impl Capture {
    pub(super) fn take(&mut self, bytes: &[u8]) {
        let (first, rest) = bytes.split_at(bytes.len().min(HEAD - self.head.len()));
        self.head.extend_from_slice(first);
        // Of one piece that is longer than the tail only its end can be kept.
        let (passed, rest) = rest.split_at(rest.len().saturating_sub(TAIL));
        self.dropped += passed.len() as u64;
        let over = (self.tail.len() + rest.len()).saturating_sub(TAIL);
        if !passed.is_empty() {
            self.dropped += self.tail.len() as u64;
            self.tail.clear();
        } else {
            self.tail.drain(..over);
            self.dropped += over as u64;
        }
        self.tail.extend(rest);
    }

    pub(super) fn finish(self) -> Captured {
        Captured { head: self.head, tail: self.tail.into(), dropped: self.dropped }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn g10_the_beginning_and_the_end_are_kept_and_the_rest_is_counted(
            pieces in prop::collection::vec((0_usize..300_000, any::<u8>()), 0..8)
        ) {
            let mut capture = Capture::default();
            let mut whole = Vec::new();
            for (length, byte) in pieces {
                let piece: Vec<u8> = (0..length).map(|at| byte.wrapping_add((at % 251) as u8)).collect();
                capture.take(&piece);
                whole.extend_from_slice(&piece);
            }
            let kept = capture.finish();
            prop_assert!(kept.head.len() <= HEAD && kept.tail.len() <= TAIL);
            prop_assert!(whole.starts_with(&kept.head) && whole.ends_with(&kept.tail));
            let sum = kept.head.len() as u64 + kept.dropped + kept.tail.len() as u64;
            prop_assert_eq!(sum, whole.len() as u64);
            prop_assert!(kept.dropped == 0 || kept.tail.len() == TAIL);
        }
    }
}
