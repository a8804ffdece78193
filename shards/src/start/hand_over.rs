//! Hands listeners over to a child process by systemd's `LISTEN_FDS` protocol, as a service manager does.
//!
//! Why: the process that holds a listener can start one program after another on it, and no connection is refused in
//! between. The child takes them with [`inherited_listeners`](super::systemd::inherited_listeners).
//!
//! The standard library closes every descriptor of the child beyond 2. So each socket is duplicated without
//! close-on-exec, at consecutive numbers from `LISTEN_FDS_FIRST_FD` on, for the time of the start.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd, RawFd};
use std::process::Command;

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};

use super::systemd::INHERITED_MAX;

/// The lowest number of a duplicate. 64: above the descriptors that a small program has open.
const FIRST_MIN: RawFd = 64;

/// How many ranges of numbers are tried. 64: one is taken only if other threads open descriptors at the same moment.
const RANGES_MAX: usize = 64;

/// Descriptors that a child inherits; dropping it closes them in this process.
///
/// Drop it when the child has been started: other children would inherit the descriptors too.
#[derive(Debug)]
#[must_use = "the child inherits the listeners only if this lives until it has started"]
pub struct HandedOver(#[expect(dead_code, reason = "the descriptors are open until it is dropped")] Vec<OwnedFd>);

/// Has a child process inherit these listeners, in this order.
///
/// # Errors
///
/// More than 1024 listeners, or the process is out of descriptors.
pub fn hand_over(command: &mut Command, listeners: &[impl AsFd]) -> io::Result<HandedOver> {
    let step = listeners.len().clamp(1, INHERITED_MAX);
    let ranges = (FIRST_MIN..).step_by(step).take(RANGES_MAX);
    let mut last = Err(io::Error::from(io::ErrorKind::InvalidInput));
    if listeners.len() > INHERITED_MAX {
        return last;
    }
    for first in ranges {
        last = hand_over_from(first, command, listeners);
        if last.is_ok() {
            break;
        }
    }
    last
}

/// Has a child process inherit these listeners as descriptors from `first` on.
///
/// # Errors
///
/// A descriptor of the range is in use, or the process is out of descriptors.
pub(crate) fn hand_over_from(first: RawFd, command: &mut Command, listeners: &[impl AsFd]) -> io::Result<HandedOver> {
    let mut copies = Vec::with_capacity(listeners.len());
    for (number, listener) in (first..).zip(listeners) {
        let copy = fcntl_dupfd_cloexec(listener, number)?;
        if copy.as_raw_fd() != number {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        copies.push(copy);
    }
    for copy in &copies {
        fcntl_setfd(copy, FdFlags::empty())?;
    }
    command
        .env("LISTEN_FDS", listeners.len().to_string())
        .env("LISTEN_FDS_FIRST_FD", first.to_string())
        .env_remove("LISTEN_PID")
        .env_remove("LISTEN_FDNAMES");
    Ok(HandedOver(copies))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;
    use crate::start::systemd::{InheritedListener, inherited_listeners};
    use crate::testing::{child, child_role, output_of};

    #[test]
    fn a_child_takes_over_the_listeners_whatever_descriptors_are_open() {
        let test = "a_child_takes_over_the_listeners_whatever_descriptors_are_open";
        if child_role().is_some() {
            for listener in inherited_listeners().unwrap() {
                let InheritedListener::Tcp(listener) = listener else {
                    panic!("{listener:?}")
                };
                println!("\nserving {}", listener.local_addr().unwrap());
            }
            return;
        }
        let listeners = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let _in_the_way = fcntl_dupfd_cloexec(&listeners[0], FIRST_MIN + 1).unwrap();
        let mut command = child(module_path!(), test, "started");
        let handed_over = hand_over(&mut command, &listeners).unwrap();
        let output = output_of(command);
        drop(handed_over);
        for listener in &listeners {
            let line = format!("serving {}", listener.local_addr().unwrap());
            assert!(output.lines().any(|found| found == line), "{output}");
        }
    }
}
