//! System calls without a home elsewhere, including those without a safe wrapper in any crate.
//!
//! Why one file: in this package `unsafe` lives only in the ring and here. socket2 and rustix lack six calls.
//! `SO_ATTACH_REUSEPORT_CBPF` distributes connections over a group, and `SO_ATTACH_FILTER` closes a listener without a
//! loss. `TCP_NOTSENT_LOWAT` limits unsent bytes, and `SIOCOUTQ` asks for unacknowledged ones. `malloc_trim` returns
//! free memory, and `SCHED_IDLE` yields to all other threads. tokio needs a promise that a watched descriptor stays
//! open. Everything else goes through rustix and is safe.
//!
//! Invariant: this file keeps no state; each function asks the kernel once and returns the answer.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::SocketFlags;
pub(crate) use rustix::process::{Resource, Rlimit};
use tokio::io::unix::AsyncFd;

/// The backlog if `/proc/sys/net/core/somaxconn` cannot be read. 4096: the kernel's default since 5.4.
pub(crate) const LISTEN_BACKLOG_FALLBACK: i32 = 4096;

/// Returns the choice of socket in a `SO_REUSEPORT` group to the kernel's hash, with or without a program before.
///
/// # Errors
///
/// The kernel refused: `ENOPROTOOPT` before Linux 5.3, `EINVAL` for a socket without `SO_REUSEPORT`.
pub(crate) fn detach_reuseport_program(listener: BorrowedFd<'_>) -> io::Result<()> {
    match set_number(listener, (libc::SOL_SOCKET, libc::SO_DETACH_REUSEPORT_BPF), 0) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        done => done,
    }
}

/// What a program attached to a socket decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProgramKind {
    /// Which socket of a `SO_REUSEPORT` group gets a connection.
    ReuseportSelect,
    /// Which segments reach the socket.
    Filter,
}

/// Attaches a classic BPF program to a socket, replacing the previous one.
///
/// # Errors
///
/// `InvalidInput` for more than 65,535 instructions; otherwise the kernel refused.
pub(crate) fn attach(socket: BorrowedFd<'_>, kind: ProgramKind, mut program: Vec<libc::sock_filter>) -> io::Result<()> {
    let option = match kind {
        ProgramKind::ReuseportSelect => libc::SO_ATTACH_REUSEPORT_CBPF,
        ProgramKind::Filter => libc::SO_ATTACH_FILTER,
    };
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| invalid("the program is too long"))?,
        filter: program.as_mut_ptr(),
    };
    let filter_bytes = libc::socklen_t::try_from(size_of::<libc::sock_fprog>())
        .map_err(|_| invalid("the program cannot be described to the kernel"))?;
    // SAFETY: `socket` is borrowed, so its descriptor is open for the whole call. Either option reads one `sock_fprog`,
    // which `filter` is, of exactly the length given. `filter.filter` points to `filter.len` initialised instructions
    // owned by `program`, which outlives the call. The kernel checks and copies them and keeps no pointer.
    let status = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const filter).cast(),
            filter_bytes,
        )
    };
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Limits the unsent bytes the kernel takes for a TCP socket (`TCP_NOTSENT_LOWAT`); it may exceed the limit by one
/// buffer of at most 64 KiB. Sockets accepted from a listener inherit it.
///
/// # Errors
///
/// The kernel refused: `EOPNOTSUPP` or `ENOPROTOOPT` for a socket that is not TCP.
pub(crate) fn set_unsent_max(socket: BorrowedFd<'_>, bytes: u32) -> io::Result<()> {
    set_number(socket, (libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT), bytes)
}

/// Returns how many bytes of a stream socket its peer has not acknowledged, sent or not (`SIOCOUTQ`). A TCP FIN counts
/// as one byte. On a Unix socket it is the memory of the bytes the peer has not read.
///
/// # Errors
///
/// The kernel refused: `EINVAL` for a listening socket.
pub(crate) fn unacknowledged(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: `socket` is borrowed, so its descriptor is open for the whole call. SIOCOUTQ, which is TIOCOUTQ by
    // another name, writes one `c_int`, which `bytes` is; it lives until the call returns, and the kernel keeps no
    // pointer.
    let status = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if status == 0 {
        Ok(u64::try_from(bytes).unwrap_or(0))
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Sets a numeric socket option, given by its level and name.
fn set_number(socket: BorrowedFd<'_>, (level, name): (i32, i32), number: u32) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<u32>())
        .map_err(|_| invalid("the number cannot be described to the kernel"))?;
    // SAFETY: `socket` is borrowed, so its descriptor is open for the whole call. The kernel reads at most `length`
    // bytes of the option's value, which `number` is, of exactly that length. It lives until the call returns, and the
    // kernel keeps no pointer.
    let status = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const number).cast(), length) };
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Has the kernel run the calling thread only while a CPU has no other work (`SCHED_IDLE`).
///
/// # Errors
///
/// The kernel refused: `EPERM` under a filter of system calls.
pub(crate) fn use_idle_scheduling() -> io::Result<()> {
    let priority = libc::sched_param { sched_priority: 0 };
    // SAFETY: 0 names the calling thread, which exists. The kernel reads one `sched_param`, which `priority` is; it lives
    // until the call returns, and the kernel keeps no pointer.
    let status = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const priority) };
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Makes glibc's allocator return every whole free page to the kernel; does nothing with another libc.
pub(crate) fn trim_heap() {
    // SAFETY: malloc_trim has no precondition: any thread may call it at any time, and it touches free memory only,
    // under the allocator's own locks. Its answer, whether there was something to give back, is of no use to us.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Raises the soft limit of a resource to its hard limit, which needs no privilege.
///
/// Returns the limit before and the limit now; they are equal if there was nothing to raise or the kernel refused.
pub(crate) fn raise_to_hard(resource: Resource) -> (Rlimit, Rlimit) {
    let before = rustix::process::getrlimit(resource);
    if before.current != before.maximum {
        let wanted = Rlimit {
            current: before.maximum,
            maximum: before.maximum,
        };
        if let Err(error) = rustix::process::setrlimit(resource, wanted) {
            tracing::warn!(?resource, %error, "could not raise the soft limit to the hard limit");
        }
    }
    (before, rustix::process::getrlimit(resource))
}

/// Returns the connections waiting in a listener's backlog, until it is empty.
///
/// For a graceful stop: those peers are already connected, so they are served before the listener closes. The listener
/// becomes non-blocking and stays so; cancel a multishot accept on it first. Peers may connect as fast as they are
/// taken, so the caller bounds how many it takes.
///
/// # Errors
///
/// The kernel refused to make the listener non-blocking. An item is an error if the process is out of descriptors
/// (`EMFILE`, `ENFILE`) or memory, after which the iterator ends.
pub(crate) fn queued_connections(listener: BorrowedFd<'_>) -> io::Result<QueuedConnections<'_>> {
    rustix::io::ioctl_fionbio(listener, true)?;
    Ok(QueuedConnections {
        listener: Some(listener),
    })
}

/// The iterator of [`queued_connections`].
#[derive(Debug)]
pub(crate) struct QueuedConnections<'a> {
    listener: Option<BorrowedFd<'a>>,
}

impl Iterator for QueuedConnections<'_> {
    type Item = io::Result<OwnedFd>;

    fn next(&mut self) -> Option<Self::Item> {
        let listener = self.listener?;
        loop {
            match rustix::net::accept_with(listener, SocketFlags::CLOEXEC) {
                Ok(connection) => return Some(Ok(connection)),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(Errno::AGAIN) => {
                    self.listener = None;
                    return None;
                }
                Err(error) => {
                    self.listener = None;
                    return Some(Err(error.into()));
                }
            }
        }
    }
}

/// Returns the longest backlog the kernel allows (`net.core.somaxconn`), in connections.
///
/// listen(2) silently cuts a longer one to this, and a shorter one drops connections in a burst.
pub(crate) fn listen_backlog() -> i32 {
    fs::read_to_string("/proc/sys/net/core/somaxconn")
        .ok()
        .and_then(|text| parse_somaxconn(&text))
        .unwrap_or(LISTEN_BACKLOG_FALLBACK)
}

fn parse_somaxconn(text: &str) -> Option<i32> {
    text.trim().parse().ok().filter(|backlog| *backlog > 0)
}

pub(crate) fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}

/// Makes tokio's runtime, which the caller is in, watch a descriptor for reading and writing.
///
/// # Errors
///
/// The kernel cannot watch it: out of memory, or a file that is always ready. The error returns the descriptor.
///
/// # Panics
///
/// Panics outside a tokio runtime.
pub(crate) fn watch(descriptor: OwnedFd) -> Result<AsyncFd<OwnedFd>, (OwnedFd, Errno)> {
    // SAFETY: an `OwnedFd` is open as long as it lives and always answers with the same descriptor. It closes it only
    // when the `AsyncFd` that owns it from here on is dropped.
    let watched = unsafe { AsyncFd::register(descriptor) };
    watched.map_err(|refused| {
        let (descriptor, error) = refused.into_parts();
        (descriptor, Errno::from_io_error(&error).unwrap_or(Errno::IO))
    })
}

/// Returns whether an errno of accept(2) concerns one connection or one call, not the listener.
pub(crate) fn is_passing_accept_error(errno: i32) -> bool {
    matches!(
        errno,
        libc::ECONNABORTED
            | libc::EINTR
            | libc::EAGAIN
            | libc::ECANCELED
            | libc::EPROTO
            | libc::EPERM
            | libc::ENETDOWN
            | libc::EHOSTDOWN
            | libc::EHOSTUNREACH
            | libc::ENETUNREACH
            | libc::ETIMEDOUT
    )
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
    use std::os::fd::AsFd as _;
    use std::time::Duration;

    use socket2::{Domain, Socket, Type};

    use super::*;
    use crate::balance::bpf::{attach_reuseport_program, refuse_new_connections};

    fn reuseport_listener(address: SocketAddr) -> TcpListener {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.bind(&address.into()).unwrap();
        socket.listen(listen_backlog()).unwrap();
        socket.into()
    }

    /// Returns a group of listeners on one free port.
    fn reuseport_group(count: usize) -> (Vec<TcpListener>, SocketAddr) {
        let first = reuseport_listener((Ipv4Addr::LOCALHOST, 0).into());
        let address = first.local_addr().unwrap();
        let mut listeners = vec![first];
        listeners.extend((1..count).map(|_| reuseport_listener(address)));
        (listeners, address)
    }

    /// Accepts `connections` connections and returns how many each listener got.
    fn accepted(listeners: &[TcpListener], connections: usize) -> Vec<usize> {
        let mut accepted = vec![0; listeners.len()];
        // The last segment of a handshake may still be in flight when the client considers itself connected.
        while accepted.iter().sum::<usize>() < connections {
            for (count, listener) in accepted.iter_mut().zip(listeners) {
                let queued = queued_connections(listener.as_fd()).unwrap();
                *count += queued.map(Result::unwrap).count();
            }
        }
        accepted
    }

    #[test]
    fn a_connection_reaches_the_listener_of_the_cpu_it_came_in_on() {
        let cpus: Vec<usize> = core_affinity::get_core_ids()
            .unwrap()
            .iter()
            .map(|core| core.id)
            .take(4)
            .collect();
        let (listeners, address) = reuseport_group(cpus.len());
        attach_reuseport_program(listeners[0].as_fd(), &vec![false; cpus.len()], Some(&cpus)).unwrap();
        for (expected, &cpu) in cpus.iter().enumerate() {
            // On the loopback device a segment is received on the CPU that sent it.
            let clients: Vec<TcpStream> = std::thread::spawn(move || {
                assert!(core_affinity::set_for_current(core_affinity::CoreId { id: cpu }));
                (0..8).map(|_| TcpStream::connect(address).unwrap()).collect()
            })
            .join()
            .unwrap();
            let accepted = accepted(&listeners, clients.len());
            assert_eq!(accepted[expected], clients.len(), "CPU {cpu}: {accepted:?}");
        }
    }

    #[test]
    fn a_listener_left_out_gets_connections_again_after_detaching() {
        let (listeners, address) = reuseport_group(3);
        let connect = || TcpStream::connect(address).unwrap();
        for left_out in 0..3 {
            let is_out: Vec<bool> = (0..3).map(|number| number == left_out).collect();
            attach_reuseport_program(listeners[2].as_fd(), &is_out, None).unwrap();
            let _clients: Vec<TcpStream> = (0..24).map(|_| connect()).collect();
            assert_eq!(accepted(&listeners, 24)[left_out], 0);
        }
        for _ in 0..2 {
            detach_reuseport_program(listeners[1].as_fd()).unwrap();
        }
        let mut totals = [0; 3];
        while totals.contains(&0) {
            let _client = connect();
            let one = accepted(&listeners, 1);
            totals.iter_mut().zip(one).for_each(|(total, one)| *total += one);
        }
    }

    #[test]
    fn a_program_on_a_socket_outside_a_reuseport_group_is_an_error() {
        let alone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        for error in [
            attach_reuseport_program(alone.as_fd(), &[false], None).unwrap_err(),
            detach_reuseport_program(alone.as_fd()).unwrap_err(),
        ] {
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
        }
    }

    #[test]
    fn a_listener_that_refuses_new_connections_keeps_those_it_has() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let mut early = TcpStream::connect(address).unwrap();
        refuse_new_connections(listener.as_fd()).unwrap();
        // The connection stays unanswered however long the client waits.
        let late = TcpStream::connect_timeout(&address, Duration::from_millis(100));
        assert_eq!(late.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let (mut accepted, _) = listener.accept().unwrap();
        early.write_all(b"said").unwrap();
        accepted.read_exact(&mut [0; 4]).unwrap();
        accepted.write_all(b"heard").unwrap();
        early.read_exact(&mut [0; 5]).unwrap();
    }

    #[test]
    fn a_backlog_is_drained_to_its_end_without_blocking() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert_eq!(queued_connections(listener.as_fd()).unwrap().count(), 0);
        let address = listener.local_addr().unwrap();
        let clients: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
        let mut peers: Vec<SocketAddr> = Vec::new();
        while peers.len() < clients.len() {
            let queued = queued_connections(listener.as_fd()).unwrap();
            peers.extend(queued.map(|connection| TcpStream::from(connection.unwrap()).peer_addr().unwrap()));
        }
        let mut expected: Vec<SocketAddr> = clients.iter().map(|client| client.local_addr().unwrap()).collect();
        peers.sort();
        expected.sort();
        assert_eq!(peers, expected);
    }

    #[test]
    fn draining_something_that_does_not_listen_reports_the_error_once() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let items: Vec<_> = queued_connections(stream.as_fd()).unwrap().collect();
        assert_eq!(items.len(), 1);
        assert_eq!(items[0].as_ref().unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }

    #[test]
    fn somaxconn_is_read_as_the_kernel_writes_it() {
        assert_eq!(parse_somaxconn("4096\n"), Some(4096));
        for nonsense in ["", "0\n", "-1\n", "4096 1", "99999999999"] {
            assert_eq!(parse_somaxconn(nonsense), None, "{nonsense:?}");
        }
        assert!(listen_backlog() > 0);
    }
}
