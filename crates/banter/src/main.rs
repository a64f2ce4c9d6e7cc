//! The `banter` binary.

fn main() {}
