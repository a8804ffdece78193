//! Runs a program where io_uring is forbidden, as it is under the default seccomp profiles of Docker and containerd.
//!
//! ```text
//! cargo build --example without_io_uring
//! target/debug/examples/without_io_uring cargo run --example doctor
//! target/debug/examples/without_io_uring cargo test --workspace
//! ```
//!
//! It forbids itself `io_uring_setup` (the answer is EPERM, "operation not permitted"), then becomes the program it is given. What
//! that program starts inherits the filter, and nothing takes it off again. It needs no privilege, because it also gives up, for
//! good, the right to gain any (`PR_SET_NO_NEW_PRIVS`).

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1);
    let program = arguments
        .next()
        .ok_or("say which program to run, and its arguments after it")?;
    forbid_io_uring()?;
    // Comes back only if it could not.
    let error = Command::new(&program).args(arguments).exec();
    Err(format!("{} could not be started: {error}", program.display()).into())
}

/// Has this thread, and the program it becomes, told EPERM when a ring is asked for.
fn forbid_io_uring() -> Result<(), Box<dyn Error>> {
    let forbidden = BTreeMap::from([(libc::SYS_io_uring_setup, Vec::new())]);
    let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let filter = SeccompFilter::new(forbidden, SeccompAction::Allow, refuse, env::consts::ARCH.try_into()?)?;
    let program: BpfProgram = filter.try_into()?;
    // This sets PR_SET_NO_NEW_PRIVS first.
    apply_filter(&program)?;
    Ok(())
}
