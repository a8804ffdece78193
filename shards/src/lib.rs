//! Thread-per-core runtime of Squall: one pinned executor and one io_uring per core.

pub mod blocking;
pub mod gate;
pub mod inherited;
mod oneshot;
pub mod placement;
pub mod preflight;
pub mod signal;
#[cfg_attr(not(test), expect(dead_code, reason = "the listener uses it"))]
#[expect(unsafe_code, reason = "SO_ATTACH_REUSEPORT_CBPF has no safe wrapper in any crate")]
mod sys;
#[cfg(test)]
mod testing;
#[cfg_attr(not(test), expect(dead_code, reason = "the reactor owns one of each"))]
mod timer;
