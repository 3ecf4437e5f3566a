//! The store in memory: what every other store must do, in the fewest words.
