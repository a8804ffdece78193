//! The side of the program: how it knows its supervisor, reports that it listens, and ends with it.
//!
//! Standard input is one end of a socket pair. The program writes one byte when it listens. It reads the end of the
//! stream when the supervisor has ended, however that happened.

use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::thread;

use squall_shards::{Stop, Stopper};

use crate::error::Result;

/// The variable with the process id of the supervisor.
///
/// Programs that this one starts inherit it too, but their parent is another process.
pub(super) const SUPERVISOR: &str = "SQUALL_SUPERVISOR";

/// Returns whether a supervisor has started this process.
pub(in crate::server) fn is_supervised() -> bool {
    let parent = std::os::unix::process::parent_id().to_string();
    std::env::var(SUPERVISOR).is_ok_and(|supervisor| supervisor == parent)
}

/// Tells the supervisor that this program accepts connections.
///
/// A socket takes one byte without a wait.
pub(in crate::server) fn report_listening() -> Result {
    supervisor()?.write_all(b"\n")?;
    Ok(())
}

/// Stops the server gracefully when the supervisor has ended.
pub(in crate::server) fn stop_with_supervisor(stopper: Stopper) -> Result {
    let mut supervisor = supervisor()?;
    let watch = move || {
        // The supervisor sends nothing, so the read ends with it.
        while matches!(supervisor.read(&mut [0]), Ok(1..)) {}
        stopper.stop(Stop::Graceful);
    };
    thread::Builder::new()
        .name("squall-supervisor".to_owned())
        .spawn(watch)?;
    Ok(())
}

fn supervisor() -> io::Result<UnixStream> {
    Ok(io::stdin().as_fd().try_clone_to_owned()?.into())
}
