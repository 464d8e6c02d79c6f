//! Random histories of one grant: many presenters at once, lost replies, lost writes, clock steps, thieves and forgers.
//!
//! Every history is driven by proptest, so a failure prints the shortest one it finds.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod cases;
mod siblings;
mod thief;
mod world;
