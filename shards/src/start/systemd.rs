//! Listeners handed over by a service manager: systemd's `LISTEN_FDS`.
//!
//! Why: with socket activation the manager holds the listeners, so a restart loses no connection, and a server without
//! privileges serves port 80. The protocol is an environment variable with the number of descriptors, from 3 upward.
//!
//! Invariant: what is returned is a TCP or Unix stream socket that listens, is closed on exec, and blocks, as one made
//! by the standard library does; anything else is an error that says which descriptor and what is wrong.

use std::env;
use std::error::Error;
use std::fmt;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;

/// The most descriptors taken over: far more than a unit file lists, and what a typing error in the variable can cost.
pub(crate) const INHERITED_MAX: usize = 1024;

/// One listener that was handed over.
#[derive(Debug)]
pub enum InheritedListener {
    /// A TCP listener over IPv4 or IPv6.
    Tcp(TcpListener),
    /// A Unix stream listener.
    Unix(UnixListener),
}

/// Takes over the listeners that the environment announces to this process, in the manager's order.
///
/// None are announced: an empty list, and so it is when they are announced to another process (`LISTEN_PID`). The
/// variables are removed, so a second call finds none and child processes do not see them; to be called before other
/// threads are started, because the environment is not safe to change under them.
///
/// # Errors
///
/// [`InheritedError`] if `LISTEN_FDS` is not a number up to 1024, or if one of the descriptors is not a
/// stream socket that listens. A server should not start then: its unit file is wrong.
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
            problem: format!("LISTEN_FDS is {announced:?}, not a number up to {INHERITED_MAX}"),
        }),
    }
}

fn take(handed_over: &mut ListenFd, position: usize) -> Result<InheritedListener, InheritedError> {
    let listener = match handed_over.take_tcp_listener(position) {
        Ok(Some(listener)) => Ok(InheritedListener::Tcp(listener)),
        _ => match handed_over.take_unix_listener(position) {
            Ok(Some(listener)) => Ok(InheritedListener::Unix(listener)),
            Ok(None) => Err("it has been taken already".to_owned()),
            Err(error) => Err(format!("it is neither a TCP nor a Unix stream listener ({error})")),
        },
    };
    listener
        .and_then(InheritedListener::made_ready)
        .map_err(|reason| InheritedError {
            problem: format!(
                "inherited descriptor {} of {} cannot be served: {reason}",
                position + 1,
                handed_over.len()
            ),
        })
}

impl InheritedListener {
    /// Checks that the socket listens, and makes it block.
    fn made_ready(self) -> Result<Self, String> {
        let socket = match &self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        };
        match socket_acceptconn(socket) {
            Ok(true) => {}
            Ok(false) => return Err("it is a stream socket that does not listen".to_owned()),
            Err(error) => return Err(format!("the kernel does not say whether it listens ({error})")),
        }
        rustix::io::ioctl_fionbio(socket, false).map_err(|error| format!("it cannot be made to block ({error})"))?;
        Ok(self)
    }
}

/// What is wrong with the descriptors that were handed over.
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
    use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
    use std::process::Command;

    use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_getfd, fcntl_setfd};
    use socket2::SockRef;

    use super::*;
    use crate::testing::{child, child_role, output_of};

    /// Adds descriptors to a child, with consecutive numbers from `first` upward, which no other test may use.
    fn hand_over(command: &mut Command, first: i32, sockets: &[BorrowedFd<'_>]) -> Vec<OwnedFd> {
        command
            .env("LISTEN_FDS", sockets.len().to_string())
            .env("LISTEN_FDS_FIRST_FD", first.to_string());
        (first..)
            .zip(sockets)
            .map(|(number, socket)| {
                let copy = fcntl_dupfd_cloexec(socket, number).unwrap();
                assert_eq!(copy.as_raw_fd(), number);
                fcntl_setfd(&copy, FdFlags::empty()).unwrap();
                copy
            })
            .collect()
    }

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
                assert!(!socket.nonblocking().unwrap());
                assert!(fcntl_getfd(&*socket).unwrap().contains(FdFlags::CLOEXEC));
                println!("\nserving {address}");
            }
            assert!(inherited_listeners().unwrap().is_empty(), "the announcement is used up");
            return;
        }
        let path = env::temp_dir().join(format!("squall-inherited-{}.socket", std::process::id()));
        let _absent = std::fs::remove_file(&path);
        let (first, second, third) = (tcp(), UnixListener::bind(&path).unwrap(), tcp());
        let mut command = child(module_path!(), test, "activated");
        let _handed_over = hand_over(&mut command, 600, &[first.as_fd(), second.as_fd(), third.as_fd()]);
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
    fn what_does_not_listen_is_named_in_the_error() {
        let test = "what_does_not_listen_is_named_in_the_error";
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
            (720, datagrams.as_fd(), "it is neither a TCP nor a Unix stream listener"),
            (730, file.as_fd(), "fd 731 is not a socket"),
        ] {
            let mut command = child(module_path!(), test, "activated");
            let _handed_over = hand_over(&mut command, number, &[good.as_fd(), bad]);
            let output = output_of(command);
            assert!(
                output.contains("error: inherited descriptor 2 of 2 cannot be served: "),
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
    fn a_count_that_is_no_small_number_is_refused() {
        assert_eq!(check_count("1024"), Ok(()));
        for announced in ["", "three", "-1", "1025", "99999999999999999999"] {
            let error = check_count(announced).unwrap_err().to_string();
            assert!(
                error.contains(&format!("LISTEN_FDS is {announced:?}, not a number up to 1024")),
                "{error}"
            );
        }
    }
}
