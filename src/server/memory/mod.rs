//! Gives way before the kernel ends the process for its memory.

pub(in crate::server) mod pressure;
pub(in crate::server) mod watch;
pub(in crate::server) mod watermarks;
