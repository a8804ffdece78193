//! Binds addresses before any shard starts, so that an address in use is one clear error and not half a server.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam::atomic::AtomicCell;
use socket2::{Domain, Protocol, Socket, Type};

use super::address_lock::AddressLock;
use super::bound_socket::{BoundSocket, SocketFile};
use super::holder::{self, Holder};
use super::listener::Listener;
use super::patience::{self, Failure};
use crate::balance::reuseport::ReuseportGroup;
use crate::os::sys;
use crate::shard::shard::Shard;
use crate::start::systemd::InheritedListener;

/// One listening socket per shard, all on one address; clone it into the shards' main function and [`open`](Self::open)
/// it there.
#[derive(Clone)]
pub struct Listeners {
    sockets: Arc<[AtomicCell<Option<BoundSocket>>]>,
    address: LocalAddress,
    /// `None` if all shards accept from one queue: a Unix socket, or an inherited descriptor.
    reuseport_group: Option<Arc<ReuseportGroup>>,
    /// Held while a listener of an address that is not shared is open.
    lock: Option<Arc<AddressLock>>,
    /// Whether another process holds the socket too, as a service manager does.
    is_inherited: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum LocalAddress {
    Tcp(SocketAddr),
    Unix(Option<PathBuf>),
}

impl Listeners {
    /// Binds a TCP address once for each of `shards` shards (`SO_REUSEPORT`); the kernel distributes new connections.
    ///
    /// Port 0 takes a free port, the same for all shards. The backlog is the kernel's maximum (`net.core.somaxconn`).
    ///
    /// A stalled shard gets no new connections from 25 to 40 ms after the stall began until it ends. Connections
    /// already accepted by the kernel wait in its backlog. This needs `SO_ATTACH_REUSEPORT_CBPF` and
    /// `SO_DETACH_REUSEPORT_BPF` (Linux 5.3). Inherited listeners and Unix sockets have no such protection.
    ///
    /// The address must be free. `SO_REUSEPORT` alone would silently admit a second server of the same user, and the
    /// kernel would give each half of the connections. While the listeners are open, a lock keeps
    /// [`bind_tcp_shared`](Self::bind_tcp_shared) of other processes from the address.
    ///
    /// The sockets of a killed process listen for up to some 200 ms after its end. So an address in use is retried for
    /// up to 2 s while this thread sleeps. The error comes at once, and names the process, if `/proc` shows a holder
    /// that is not ending, twice 10 ms apart. A holder of another user or container is invisible, so its address takes
    /// the 2 s. A shard's thread tries once.
    ///
    /// # Errors
    ///
    /// The address is in use, does not belong to this host, or is not permitted.
    pub fn bind_tcp(address: SocketAddr, shards: usize) -> Result<Self, BindError> {
        let bound = patience::bind(
            || Self::bind_tcp_alone(address, shards, AddressLock::new),
            || holder::of_tcp(address),
        );
        bound
            .or_else(|failure| match (failure.cause.kind(), &failure.holder) {
                // The name of the lock alone may be taken. Then no process can share the address either.
                (io::ErrorKind::AddrInUse, None) => {
                    Self::bind_tcp_alone(address, shards, |_| Ok(None)).map_err(|_| failure)
                }
                _ => Err(failure),
            })
            .map_err(|failure| BindError::of(address, failure))
    }

    fn bind_tcp_alone(
        address: SocketAddr,
        shards: usize,
        lock: impl Fn(SocketAddr) -> io::Result<Option<AddressLock>>,
    ) -> io::Result<Self> {
        // Port 0 becomes known with the first socket.
        let is_known = address.port() != 0;
        let mut locked = if is_known { lock(address)? } else { None };
        // A socket without SO_REUSEPORT binds only if no other process listens there.
        drop(tcp_socket(address, false)?);
        let bound = Self::bind_tcp_group(address, shards, true)?;
        if let (false, LocalAddress::Tcp(found)) = (is_known, &bound.address) {
            locked = lock(*found)?;
        }
        Ok(Self {
            lock: locked.map(Arc::new),
            ..bound
        })
    }

    /// Binds a TCP address beside another process of the same user that shares it too, for a rolling restart.
    ///
    /// Only the first process knows the numbers of its sockets. So the stalled shard of a later one still gets new
    /// connections. An address without a visible holder is first waited for, as by [`bind_tcp`](Self::bind_tcp), then
    /// shared. The sockets of a killed process would get a part of the connections until the kernel closes them.
    ///
    /// # Errors
    ///
    /// A process that does not share the address listens on it, or on every address of its port; or as
    /// [`bind_tcp`](Self::bind_tcp).
    pub fn bind_tcp_shared(address: SocketAddr, shards: usize) -> Result<Self, BindError> {
        Self::verify_shared(address)?;
        let alone = patience::bind(|| tcp_socket(address, false).map(drop), || holder::of_tcp(address));
        let bound = Self::bind_tcp_group(address, shards, alone.is_ok()).map_err(|cause| {
            let holder = alone.err().and_then(|failure| failure.holder);
            BindError::of(address, Failure { cause, holder })
        })?;
        // Once more, now that these sockets listen: a process that started meanwhile has locked the address, or sees them.
        Self::verify_shared(address)?;
        Ok(bound)
    }

    /// Verifies that no process keeps the address to itself. A lock of a process that just ends, or that just fails to
    /// start, is waited for.
    fn verify_shared(address: SocketAddr) -> Result<(), BindError> {
        let verified = patience::bind(|| AddressLock::verify_shared(address), || AddressLock::holder(address));
        verified.map_err(|failure| BindError {
            is_unshared: true,
            ..BindError::of(address, failure)
        })
    }

    fn bind_tcp_group(address: SocketAddr, shards: usize, is_first: bool) -> io::Result<Self> {
        let mut bound = address;
        let mut sockets = Vec::with_capacity(shards);
        for _ in 0..shards.max(1) {
            let socket = tcp_socket(bound, true)?;
            if bound.port() == 0
                && let Some(found) = socket.local_addr()?.as_socket()
            {
                bound = found;
            }
            sockets.push(socket);
        }
        // Only after all are bound: a listening socket gets connections, and a later failure would leave them unanswered.
        for socket in &sockets {
            socket.listen(sys::listen_backlog())?;
        }
        let one = sockets.first().map(Socket::try_clone).transpose()?;
        let reuseport_group = one.map(|one| Arc::new(ReuseportGroup::new(one.into(), sockets.len(), is_first)));
        let bound_socket = |socket: Socket| BoundSocket {
            file: None,
            socket: socket.into(),
        };
        let sockets = sockets.into_iter().map(bound_socket).collect();
        Ok(Self::new(sockets, LocalAddress::Tcp(bound), reuseport_group))
    }

    /// Binds a Unix socket that all shards accept from, whose file has these permissions, such as 0600.
    ///
    /// A client needs the permission to write. The kernel accepts no connection before the file has its permissions.
    ///
    /// A socket file that refuses connections is replaced: its listener has ended. A path in use is waited for as by
    /// [`bind_tcp`](Self::bind_tcp). The file is removed when the last shard closes its listener, unless another file has
    /// taken its place.
    ///
    /// # Errors
    ///
    /// The path is in use by a listener or by another kind of file, or the directory is missing or not writable.
    pub fn bind_unix(path: &Path, mode: u32, shards: usize) -> Result<Self, BindError> {
        let socket = patience::bind(|| unix_socket(path, mode), || holder::of_unix(path))
            .map_err(|failure| BindError::of(path.display(), failure))?;
        let failed = |error| BindError::new(path.display(), error);
        let file = SocketFile::of(path).map_err(failed)?;
        let address = LocalAddress::Unix(Some(path.to_owned()));
        Self::of_one(socket, Some(file), address, shards).map_err(failed)
    }

    /// Takes over a TCP listener that another process holds too, such as systemd, for all shards to accept from.
    ///
    /// A stop leaves the connections of its backlog to the next process that accepts from it.
    ///
    /// # Errors
    ///
    /// The descriptor could not be duplicated for each shard.
    pub fn inherit_tcp(listener: std::net::TcpListener, shards: usize) -> Result<Self, BindError> {
        let failed = |error| BindError::new("an inherited TCP listener", error);
        let address = listener.local_addr().map_err(failed)?;
        let listeners = Self::of_one(listener.into(), None, LocalAddress::Tcp(address), shards).map_err(failed)?;
        Ok(listeners.inherited())
    }

    /// Takes over a Unix listener that another process holds too, for all shards to accept from.
    ///
    /// A stop leaves the connections of its backlog to the next process that accepts from it.
    ///
    /// # Errors
    ///
    /// The descriptor could not be duplicated for each shard.
    pub fn inherit_unix(listener: UnixListener, shards: usize) -> Result<Self, BindError> {
        let failed = |error| BindError::new("an inherited Unix listener", error);
        let path = listener.local_addr().map_err(failed)?.as_pathname().map(Path::to_owned);
        let listeners = Self::of_one(listener.into(), None, LocalAddress::Unix(path), shards).map_err(failed)?;
        Ok(listeners.inherited())
    }

    /// Returns a copy of the first socket, for another process to inherit.
    ///
    /// This process accepts from the socket only if it [opens](Self::open) it, and keeps it listening meanwhile.
    ///
    /// # Errors
    ///
    /// A shard has opened the socket, or the process is out of descriptors.
    pub fn to_inherit(&self) -> io::Result<InheritedListener> {
        let place = self.sockets.first().ok_or(io::ErrorKind::NotConnected)?;
        let bound = place.take();
        let copy = bound.as_ref().map(|bound| bound.socket.try_clone());
        place.store(bound);
        let copy = copy.ok_or(io::ErrorKind::NotConnected)??;
        Ok(match self.address {
            LocalAddress::Tcp(_) => InheritedListener::Tcp(copy.into()),
            LocalAddress::Unix(_) => InheritedListener::Unix(copy.into()),
        })
    }

    fn inherited(self) -> Self {
        Self {
            is_inherited: true,
            ..self
        }
    }

    /// Has all shards accept from one socket.
    fn of_one(socket: OwnedFd, file: Option<SocketFile>, address: LocalAddress, shards: usize) -> io::Result<Self> {
        let file = file.map(Arc::new);
        let bound = |socket| BoundSocket {
            file: file.clone(),
            socket,
        };
        let mut sockets = Vec::with_capacity(shards);
        for _ in 1..shards {
            sockets.push(bound(socket.try_clone()?));
        }
        sockets.push(bound(socket));
        Ok(Self::new(sockets, address, None))
    }

    fn new(sockets: Vec<BoundSocket>, address: LocalAddress, reuseport_group: Option<Arc<ReuseportGroup>>) -> Self {
        let sockets = sockets.into_iter().map(|bound| AtomicCell::new(Some(bound))).collect();
        Self {
            sockets,
            address,
            reuseport_group,
            lock: None,
            is_inherited: false,
        }
    }

    /// Steers each new connection to the shard of the CPU that received it (`SO_ATTACH_REUSEPORT_CBPF`).
    ///
    /// `cpus` names each shard's CPU in shard order; a connection received on another CPU goes to any shard. Call it
    /// before the shards run. It pays with one pinned shard per CPU and receive queues spread over the CPUs; otherwise
    /// the kernel's hash is more even. Steering ends when the first shard begins to close its listener.
    ///
    /// # Errors
    ///
    /// The sockets are not a TCP group bound here, `cpus` does not name one distinct CPU per shard, or the kernel
    /// refused the program.
    pub fn steer_by_cpu(&self, cpus: &[usize]) -> Result<(), BindError> {
        let steered = match &self.reuseport_group {
            Some(reuseport_group) => reuseport_group.steer(cpus),
            None => {
                let why = "steering needs one TCP socket per shard";
                Err(io::Error::new(io::ErrorKind::InvalidInput, why))
            }
        };
        steered.map_err(|error| BindError::new(&self.address, error))
    }

    /// Limits the unsent bytes that the kernel buffers per connection accepted from now on (`TCP_NOTSENT_LOWAT`).
    ///
    /// Without a limit the kernel buffers up to 4 MiB (`net.ipv4.tcp_wmem`) for a peer that stops reading. So policies
    /// for slow peers act that many bytes late. Bytes in flight are not counted. Unix sockets keep their own limit.
    ///
    /// # Errors
    ///
    /// The kernel refused; the error names the address.
    pub fn limit_unsent(&self, bytes_max: u32) -> io::Result<()> {
        if matches!(self.address, LocalAddress::Unix(_)) {
            return Ok(());
        }
        let limit = |socket: BorrowedFd<'_>| sys::set_unsent_max(socket, bytes_max);
        let mut places = self.sockets.iter();
        places
            .try_for_each(|place| with_socket(place, limit))
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.address)))
    }

    /// Returns the bound TCP address, with the actual port for port 0; `None` for a Unix socket.
    #[must_use]
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        match self.address {
            LocalAddress::Tcp(address) => Some(address),
            LocalAddress::Unix(_) => None,
        }
    }

    /// Opens the calling shard's listener; `None` if it was opened before, or bound for fewer shards.
    ///
    /// # Panics
    ///
    /// Panics if the calling thread is not a shard.
    #[must_use]
    pub fn open(&self) -> Option<Listener> {
        let shard = Shard::current();
        let bound = self.sockets.get(shard.id().index())?.take()?;
        let shard = shard.into_context();
        if let Some(reuseport_group) = self
            .reuseport_group
            .as_ref()
            .filter(|reuseport_group| reuseport_group.start_watching())
        {
            shard.watchdog().watch_group(Arc::clone(reuseport_group));
        }
        Some(Listener::new(
            &shard,
            bound,
            self.reuseport_group.clone(),
            self.lock.clone(),
            self.is_inherited,
        ))
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Listeners({} × {})", self.sockets.len(), self.address)
    }
}

impl fmt::Display for Listeners {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(formatter)
    }
}

impl fmt::Display for LocalAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(formatter, "http://{address}"),
            Self::Unix(Some(path)) => write!(formatter, "unix:{}", path.display()),
            Self::Unix(None) => formatter.write_str("an unnamed Unix socket"),
        }
    }
}

/// Runs `ask` on a socket that no shard has opened yet.
fn with_socket(
    place: &AtomicCell<Option<BoundSocket>>,
    ask: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let bound = place.take();
    let answer = bound.as_ref().map_or(Ok(()), |bound| ask(bound.socket.as_fd()));
    place.store(bound);
    answer
}

/// Creates a TCP socket bound like a shard's listener, not listening yet.
pub(crate) fn tcp_socket(address: SocketAddr, reuse_port: bool) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.cloexec(),
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Otherwise connections of an earlier process in TIME_WAIT would block the address for a minute.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse_port)?;
    // Accepted sockets inherit it. A response is sent whole, so Nagle's algorithm has nothing to wait for.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn unix_socket(path: &Path, mode: u32) -> io::Result<OwnedFd> {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    let address = socket2::SockAddr::unix(path)?;
    if let Ok(found) = std::fs::symlink_metadata(path) {
        if !found.file_type().is_socket() {
            let why = "the path belongs to a file that is not a socket; remove it or choose another path";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
        // Non-blocking: the backlog of a listener that does not accept may be full.
        let probe = Socket::new(Domain::UNIX, Type::STREAM.cloexec().nonblocking(), None)?;
        // Any other answer, such as a missing permission, comes from a socket that a process has open.
        let is_abandoned =
            (probe.connect(&address)).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
        if !is_abandoned {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        // Abandoned by a process that has ended; bind(2) would fail on the existing file.
        std::fs::remove_file(path)?;
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM.cloexec(), None)?;
    socket.bind(&address)?;
    // Between the two calls: bind(2) applies the umask of the process, and clients are refused until listen(2).
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    socket.listen(sys::listen_backlog())?;
    Ok(socket.into())
}

/// An address could not be bound.
#[derive(Debug)]
pub struct BindError {
    address: String,
    cause: io::Error,
    /// The process that holds the address, if it is in use and that process is visible.
    holder: Option<Holder>,
    /// The address is in use by a process that does not share it, and this one would.
    is_unshared: bool,
}

impl BindError {
    fn new(address: impl fmt::Display, cause: io::Error) -> Self {
        Self::of(address, Failure { cause, holder: None })
    }

    fn of(address: impl fmt::Display, failure: Failure) -> Self {
        Self {
            address: address.to_string(),
            cause: failure.cause,
            holder: failure.holder,
            is_unshared: false,
        }
    }

    /// Whether the address is the path of a Unix socket.
    fn is_path(&self) -> bool {
        self.address.parse::<SocketAddr>().is_err()
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "could not listen on {}: ", self.address)?;
        match (self.cause.kind(), &self.holder) {
            (io::ErrorKind::AddrInUse, holder) if self.is_unshared => {
                let holder = holder
                    .as_ref()
                    .map_or_else(|| "a process".to_owned(), Holder::to_string);
                write!(
                    formatter,
                    "the address is in use by {holder}, which does not share it; start both with --share-port or choose \
                     another address"
                )
            }
            (io::ErrorKind::AddrInUse, Some(holder)) if holder.is_here() => {
                write!(
                    formatter,
                    "the address is in use by {holder}; listen on it once or choose another address"
                )
            }
            (io::ErrorKind::AddrInUse, Some(holder)) => {
                write!(
                    formatter,
                    "the address is in use by {holder}; stop it or choose another address"
                )
            }
            (io::ErrorKind::AddrInUse, None) => formatter.write_str(
                "the address is in use by a process of another user or container; stop it or choose another address",
            ),
            (io::ErrorKind::AddrNotAvailable, _) => {
                formatter.write_str("this host does not have the address; 0.0.0.0 listens on all its addresses")
            }
            (io::ErrorKind::PermissionDenied, _) if self.is_path() => {
                formatter.write_str("not permitted; let this user write to the folder or choose another path")
            }
            (io::ErrorKind::NotFound, _) if self.is_path() => {
                formatter.write_str("the folder does not exist; create it or choose another path")
            }
            (io::ErrorKind::InvalidInput, _) if self.is_path() => {
                formatter.write_str("the path is longer than 107 bytes; choose a shorter one")
            }
            (io::ErrorKind::PermissionDenied, _) => {
                formatter.write_str("not permitted; ports below 1024 need CAP_NET_BIND_SERVICE")
            }
            _ => self.cause.fmt(formatter),
        }
    }
}

/// Without a [`source`](std::error::Error::source): the message already contains the cause.
impl std::error::Error for BindError {}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    #[test]
    fn a_path_that_cannot_be_bound_is_reported_once_with_what_to_do() {
        let error = |path: &str| Listeners::bind_unix(Path::new(path), 0o600, 1).unwrap_err();
        let missing = error("/no/such/folder/socket");
        let text =
            "could not listen on /no/such/folder/socket: the folder does not exist; create it or choose another path";
        assert_eq!(missing.to_string(), text);
        assert!(std::error::Error::source(&missing).is_none());
        let long = error(&format!("/tmp/{}", "x".repeat(200))).to_string();
        assert!(
            long.ends_with(": the path is longer than 107 bytes; choose a shorter one"),
            "{long}"
        );
        // A path has no port, so its error names none.
        let denied = BindError::new("/etc/socket", io::ErrorKind::PermissionDenied.into()).to_string();
        assert!(
            denied.ends_with(": not permitted; let this user write to the folder or choose another path"),
            "{denied}"
        );
        let denied = BindError::new("127.0.0.1:80", io::ErrorKind::PermissionDenied.into()).to_string();
        assert!(
            denied.ends_with("ports below 1024 need CAP_NET_BIND_SERVICE"),
            "{denied}"
        );
    }

    #[test]
    fn a_peer_that_does_not_read_is_sent_at_most_the_limit() {
        let listeners = Listeners::bind_tcp((Ipv4Addr::LOCALHOST, 0).into(), 1).unwrap();
        listeners.limit_unsent(64 * 1024).unwrap();
        // What the peer's own buffer takes counts as sent.
        let peer = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        peer.set_recv_buffer_size(4096).unwrap();
        peer.connect(&listeners.tcp_address().unwrap().into()).unwrap();
        let listener = TcpListener::from(listeners.sockets[0].take().unwrap().socket);
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut bytes = 0;
        let refusal = loop {
            match stream.write(&[0; 4096]) {
                Ok(taken) => bytes += taken,
                Err(error) => break error.kind(),
            }
        };
        assert_eq!(refusal, io::ErrorKind::WouldBlock);
        assert!((64 * 1024..256 * 1024).contains(&bytes), "{bytes}");
    }
}
