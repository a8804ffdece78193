//! What the kernel and the C library offer: system calls, memory, control groups, standard error.

pub(crate) mod cgroup;
pub(crate) mod ledger;
pub mod memory;
pub(crate) mod stderr;
#[expect(unsafe_code, reason = "the few system calls that no safe crate offers")]
pub(crate) mod sys;
