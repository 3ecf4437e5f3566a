//! Tests that need the inside: a disk that forgets, and journals as bytes.

mod ahead;
mod blobs;
mod care;
mod cost;
mod deaths;
mod ext4;
mod killed;
mod load;
mod mutations;
mod names;
mod power;
mod process;
mod sim;

/// A stream of numbers that a seed decides.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// From 0 up to but without `below`.
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % below
    }
}
