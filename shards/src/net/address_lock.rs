//! The lock of a TCP address that a process does not share.
//!
//! Why: the shards of a process listen with `SO_REUSEPORT`. So the kernel admits any further process of the same user
//! that does too, and gives it a part of the connections. The lock lets the second process see that the first does not
//! share.
//!
//! The lock is an abstract Unix socket, which the kernel removes with its process, even a killed one. The kernel keeps
//! one set of names for each network namespace, as it does for TCP addresses.
//!
//! Invariant: of two processes that start at the same time, at least one sees the other. The one that does not share locks
//! the address first and then verifies that no process listens. The one that shares listens first and then looks for the
//! lock.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{self as unix, UnixDatagram};

use super::holder::{self, Holder};

/// A held lock; dropping it releases the address to processes that share it.
#[derive(Debug)]
pub(super) struct AddressLock {
    #[expect(dead_code, reason = "the lock is held while the socket is open")]
    socket: UnixDatagram,
}

impl AddressLock {
    /// Locks an address; `None` where Unix sockets are forbidden.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if another lock is held.
    pub(super) fn new(address: SocketAddr) -> io::Result<Option<Self>> {
        let name = unix::SocketAddr::from_abstract_name(name(address))?;
        match UnixDatagram::bind_addr(&name) {
            Ok(socket) => Ok(Some(Self { socket })),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
            Err(error) => {
                tracing::debug!(%error, "could not lock an address: a process with share_port could take connections");
                Ok(None)
            }
        }
    }

    /// Verifies that no process has locked an address, or every address of its port.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if a lock is held.
    pub(super) fn verify_shared(address: SocketAddr) -> io::Result<()> {
        let socket = match UnixDatagram::unbound() {
            Ok(socket) => socket,
            Err(error) => {
                tracing::debug!(%error, "could not look for the lock of an address");
                return Ok(());
            }
        };
        for locked in covering(address) {
            let name = unix::SocketAddr::from_abstract_name(name(locked))?;
            if socket.connect_addr(&name).is_ok() {
                return Err(io::ErrorKind::AddrInUse.into());
            }
        }
        Ok(())
    }

    /// Returns the process that has locked an address, if visible.
    pub(super) fn holder(address: SocketAddr) -> Option<Holder> {
        covering(address).find_map(|locked| holder::of_abstract(&name(locked)))
    }
}

/// The addresses whose lock covers `address`: itself, and all addresses of the port.
fn covering(address: SocketAddr) -> impl Iterator<Item = SocketAddr> {
    let everywhere: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let everywhere = SocketAddr::new(everywhere, address.port());
    std::iter::once(address).chain((address != everywhere).then_some(everywhere))
}

/// The name of a lock. It has the user, because the kernel lets only processes of one user share an address.
fn name(address: SocketAddr) -> String {
    format!("squall/unshared/{}/{address}", rustix::process::geteuid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_shared(address: &str) -> bool {
        AddressLock::verify_shared(address.parse().unwrap()).is_ok()
    }

    #[test]
    fn a_lock_covers_its_address_and_if_that_is_every_address_the_port() {
        // Port 1 is bound by no other test.
        let lock = |address: &str| AddressLock::new(address.parse().unwrap()).unwrap();
        let addresses = ["127.0.0.1:1", "127.0.0.2:1", "0.0.0.0:1", "127.0.0.1:2", "[::1]:1"];
        for (locked, shared) in [
            ("127.0.0.1:1", [false, true, true, true, true]),
            ("0.0.0.0:1", [false, false, false, true, true]),
            ("[::]:1", [true, true, true, true, false]),
        ] {
            let held = lock(locked);
            assert_eq!(addresses.map(is_shared), shared, "{locked}");
            let again = AddressLock::new(locked.parse().unwrap()).unwrap_err();
            assert_eq!(again.kind(), io::ErrorKind::AddrInUse);
            let holder = AddressLock::holder(locked.parse().unwrap()).unwrap();
            assert!(holder.is_here(), "{holder}");
            drop(held);
            // A process just forked by another test has every open file of this one until it executes its program.
            let until = crate::clock::after(std::time::Duration::from_secs(60));
            while !is_shared(locked) {
                assert!(crate::clock::now() < until, "the lock ends with its owner");
                std::thread::yield_now();
            }
        }
    }
}
