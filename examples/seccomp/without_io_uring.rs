//! Runs a program where io_uring is forbidden, as under the default seccomp profiles of Docker and containerd.
//!
//! ```text
//! cargo build -p squall-seccomp --example without_io_uring
//! target/debug/examples/without_io_uring cargo run --example doctor
//! target/debug/examples/without_io_uring cargo test --workspace
//! ```
//!
//! A seccomp filter makes `io_uring_setup` fail with EPERM ("operation not permitted"). The program and its children
//! inherit the filter and cannot remove it. Root is not needed, because `PR_SET_NO_NEW_PRIVS` gives up the right to
//! gain privileges.

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
        .ok_or("usage: without_io_uring PROGRAM [ARGUMENT]...")?;
    forbid_io_uring()?;
    // `exec` returns only if it fails.
    let error = Command::new(&program).args(arguments).exec();
    Err(format!("could not start {}: {error}", program.display()).into())
}

/// Makes `io_uring_setup` fail with EPERM for this thread and for the program that replaces it.
fn forbid_io_uring() -> Result<(), Box<dyn Error>> {
    let forbidden = BTreeMap::from([(libc::SYS_io_uring_setup, Vec::new())]);
    let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let filter = SeccompFilter::new(forbidden, SeccompAction::Allow, refuse, env::consts::ARCH.try_into()?)?;
    let program: BpfProgram = filter.try_into()?;
    // This sets PR_SET_NO_NEW_PRIVS first.
    apply_filter(&program)?;
    Ok(())
}
