//! Listeners inherited from a service manager by systemd's `LISTEN_FDS` protocol.
//!
//! Why: with socket activation the manager holds the listeners. So a restart loses no connection, and an unprivileged
//! server can serve port 80. The protocol is an environment variable with the number of descriptors, counted from 3.
//!
//! Invariant: a returned socket is a listening TCP or Unix stream socket, close-on-exec. Whether it blocks is as other
//! processes use it, until a driver opens it. Anything else is an error that names the descriptor and the reason.

use std::env;
use std::error::Error;
use std::fmt;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;

/// The most descriptors inherited. 1024: far more than a unit file lists, and it bounds the cost of a typing error.
pub(crate) const INHERITED_MAX: usize = 1024;

/// An inherited listener.
#[derive(Debug)]
pub enum InheritedListener {
    /// A TCP listener over IPv4 or IPv6.
    Tcp(TcpListener),
    /// A Unix stream listener.
    Unix(UnixListener),
}

/// Takes the listeners announced to this process by the environment, in the manager's order.
///
/// Returns an empty list if none are announced, or if `LISTEN_PID` names another process. The variables are removed, so
/// a second call returns none and child processes do not see them. Call it before other threads start: changing the
/// environment under them is unsafe.
///
/// # Errors
///
/// [`InheritedError`] if `LISTEN_FDS` is not a number up to 1024, or a descriptor is not a listening stream socket. A server
/// should then refuse to start: its unit file is wrong.
pub fn inherited_listeners() -> Result<Vec<InheritedListener>, InheritedError> {
    if let Ok(announced) = env::var("LISTEN_FDS") {
        check_count(&announced)?;
    }
    let mut handed_over = ListenFd::from_env();
    (0..handed_over.len())
        .map(|position| take(&mut handed_over, position))
        .collect()
}

fn check_count(announced: &str) -> Result<(), InheritedError> {
    match announced.parse::<usize>() {
        Ok(count) if count <= INHERITED_MAX => Ok(()),
        _ => Err(InheritedError {
            problem: format!("invalid LISTEN_FDS {announced:?}: expected a number up to {INHERITED_MAX}"),
        }),
    }
}

fn take(handed_over: &mut ListenFd, position: usize) -> Result<InheritedListener, InheritedError> {
    let listener = match handed_over.take_tcp_listener(position) {
        Ok(Some(listener)) => Ok(InheritedListener::Tcp(listener)),
        _ => match handed_over.take_unix_listener(position) {
            Ok(Some(listener)) => Ok(InheritedListener::Unix(listener)),
            Ok(None) => Err("it was already taken".to_owned()),
            Err(error) => Err(format!("it is not a TCP or Unix stream socket ({error})")),
        },
    };
    listener
        .and_then(InheritedListener::checked)
        .map_err(|reason| InheritedError {
            problem: format!(
                "could not serve inherited descriptor {} of {}: {reason}",
                position + 1,
                handed_over.len()
            ),
        })
}

impl InheritedListener {
    /// Checks that the socket listens.
    fn checked(self) -> Result<Self, String> {
        match socket_acceptconn(&self) {
            Ok(true) => Ok(self),
            Ok(false) => Err("it is a stream socket that does not listen".to_owned()),
            Err(error) => Err(format!("could not ask whether it listens ({error})")),
        }
    }
}

impl AsFd for InheritedListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }
}

/// Inherited descriptors are unusable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InheritedError {
    problem: String,
}

impl fmt::Display for InheritedError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}; correct the ListenStream= lines and Accept=no of the socket unit",
            self.problem
        )
    }
}

impl Error for InheritedError {}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream, UdpSocket};

    use rustix::io::{FdFlags, fcntl_getfd};
    use socket2::SockRef;

    use super::*;
    use crate::start::hand_over::hand_over_from;
    use crate::testing::{child, child_role, output_of};

    fn tcp() -> TcpListener {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        listener
    }

    #[test]
    fn tcp_and_unix_listeners_are_taken_over_in_order() {
        let test = "tcp_and_unix_listeners_are_taken_over_in_order";
        if child_role().is_some() {
            for listener in inherited_listeners().unwrap() {
                let (address, socket) = match &listener {
                    InheritedListener::Tcp(tcp) => (tcp.local_addr().unwrap().to_string(), SockRef::from(tcp)),
                    InheritedListener::Unix(unix) => (format!("{:?}", unix.local_addr().unwrap()), SockRef::from(unix)),
                };
                assert!(fcntl_getfd(&*socket).unwrap().contains(FdFlags::CLOEXEC));
                println!("\nserving {address}");
            }
            assert!(
                inherited_listeners().unwrap().is_empty(),
                "the second call returns none"
            );
            return;
        }
        let path = env::temp_dir().join(format!("squall-inherited-{}.socket", std::process::id()));
        let _absent = std::fs::remove_file(&path);
        let (first, second, third) = (tcp(), UnixListener::bind(&path).unwrap(), tcp());
        let mut command = child(module_path!(), test, "activated");
        let sockets = [first.as_fd(), second.as_fd(), third.as_fd()];
        let _handed_over = hand_over_from(600, &mut command, &sockets).unwrap();
        let output = output_of(command);
        std::fs::remove_file(&path).unwrap();
        let served: Vec<&str> = output
            .lines()
            .filter_map(|line| line.strip_prefix("serving "))
            .collect();
        let address = |listener: &TcpListener| listener.local_addr().unwrap().to_string();
        assert_eq!(
            served,
            [
                address(&first),
                format!("{:?}", second.local_addr().unwrap()),
                address(&third)
            ]
        );
    }

    #[test]
    fn a_descriptor_that_does_not_listen_is_named_in_the_error() {
        let test = "a_descriptor_that_does_not_listen_is_named_in_the_error";
        if child_role().is_some() {
            println!("\nerror: {}", inherited_listeners().unwrap_err());
            return;
        }
        let good = tcp();
        let connected = TcpStream::connect(good.local_addr().unwrap()).unwrap();
        let datagrams = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let file = std::fs::File::open("/proc/self/status").unwrap();
        let (pair, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
        for (number, bad, reason) in [
            (700, connected.as_fd(), "it is a stream socket that does not listen"),
            (710, pair.as_fd(), "it is a stream socket that does not listen"),
            (720, datagrams.as_fd(), "it is not a TCP or Unix stream socket"),
            (730, file.as_fd(), "fd 731 is not a socket"),
        ] {
            let mut command = child(module_path!(), test, "activated");
            let _handed_over = hand_over_from(number, &mut command, &[good.as_fd(), bad]).unwrap();
            let output = output_of(command);
            assert!(
                output.contains("error: could not serve inherited descriptor 2 of 2: "),
                "{output}"
            );
            assert!(output.contains(reason), "{output}");
        }
    }

    #[test]
    fn an_announcement_for_another_process_or_none_gives_an_empty_list() {
        let test = "an_announcement_for_another_process_or_none_gives_an_empty_list";
        if child_role().is_some() {
            assert!(inherited_listeners().unwrap().is_empty());
            return;
        }
        let mut other = child(module_path!(), test, "other");
        other.env("LISTEN_FDS", "3").env("LISTEN_PID", "1");
        let mut none = child(module_path!(), test, "none");
        none.env_remove("LISTEN_FDS");
        for command in [other, none] {
            output_of(command);
        }
    }

    #[test]
    fn a_count_that_is_not_a_number_up_to_1024_is_refused() {
        assert_eq!(check_count("1024"), Ok(()));
        for announced in ["", "three", "-1", "1025", "99999999999999999999"] {
            let error = check_count(announced).unwrap_err().to_string();
            assert!(
                error.contains(&format!(
                    "invalid LISTEN_FDS {announced:?}: expected a number up to 1024"
                )),
                "{error}"
            );
        }
    }
}
