//! Thread-per-core runtime of Squall: one pinned executor and one io_uring per core.

pub mod placement;
