//! The judge: load generator and comparison.
fn main() {}
