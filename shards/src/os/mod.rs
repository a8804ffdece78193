//! What the kernel and the C library offer: system calls, memory, control groups, standard error.

pub(crate) mod cgroup;
pub(crate) mod ledger;
pub mod memory;
#[expect(unsafe_code, reason = "no safe crate maps pages that are sealed")]
pub(crate) mod snapshot_pages;
pub(crate) mod stderr;
#[expect(unsafe_code, reason = "the few system calls that no safe crate offers")]
pub(crate) mod sys;
