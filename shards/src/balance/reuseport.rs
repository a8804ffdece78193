//! The `SO_REUSEPORT` group of one TCP address: which shard's socket gets a new connection.
//!
//! By default the kernel's hash decides. By request it is the shard of the receiving CPU. In both cases stalled shards,
//! and with `--balance` overfull ones, are left out. The kernel takes a program for the group through any of its
//! sockets, so a duplicate of one is kept here for the watchdog. The duplicate and the program are given up before the
//! first listener of the group closes. A duplicate would keep a socket open that is never accepted from, and a leaving
//! socket changes the numbers the program uses.
//!
//! Invariant: a thread that uses the duplicate has taken it out of the cell; other threads do not wait for it.

use std::fmt;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering, fence};

use crossbeam::atomic::AtomicCell;

use crate::balance::bpf;
use crate::os::sys;

/// What the shards' listeners on one address share with the watchdog.
pub(crate) struct ReuseportGroup {
    group: AtomicCell<Option<Box<Group>>>,
    /// The watchdog has been given this group.
    is_watched: AtomicBool,
    has_ended: AtomicBool,
}

// Boxed, so that it is taken out and put back by one atomic instruction, without a lock.
const _: () = assert!(AtomicCell::<Option<Box<Group>>>::is_lock_free());

impl ReuseportGroup {
    /// Starts with the kernel's hash over `sockets` sockets, one of which `socket` duplicates.
    ///
    /// Shards are left out only if these sockets are the `first` of their group: otherwise their numbers are unknown.
    pub(crate) fn new(socket: OwnedFd, sockets: usize, first: bool) -> Self {
        let takes_back = || {
            sys::detach_reuseport_program(socket.as_fd())
                .inspect_err(|error| tracing::debug!(%error, "could not detach a reuseport program: stalled shards still get new connections"))
        };
        // Tried now, so that a kernel without support is known before the first stall.
        let sheds = first && sockets > 1 && takes_back().is_ok();
        let group = Group {
            socket,
            cpus: None,
            sheds,
            left_out: vec![false; sockets],
        };
        Self {
            group: AtomicCell::new(Some(Box::new(group))),
            is_watched: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
        }
    }

    /// Steers each new connection to the shard of the CPU it is received on, from now on.
    ///
    /// # Errors
    ///
    /// `cpus` does not name one distinct CPU per socket, the kernel refused, or the shards already run.
    pub(crate) fn steer(&self, cpus: &[usize]) -> io::Result<()> {
        self.with_group(|group| {
            let steered = bpf::attach_reuseport_program(group.socket.as_fd(), &group.left_out, Some(cpus));
            if steered.is_ok() {
                group.cpus = Some(cpus.into());
            }
            steered
        })
        .unwrap_or_else(|| {
            let why = "steering must begin before the shards run";
            Err(io::Error::new(io::ErrorKind::InvalidInput, why))
        })
    }

    /// Steers new connections away from the shards marked in `avoided`; returns whether any shard is left out.
    ///
    /// If all shards are marked, or the kernel refuses, none is left out.
    pub(crate) fn steer_away_from(&self, avoided: &[bool]) -> bool {
        let led = self.with_group(|group| group.steer_away_from(avoided));
        match led {
            Some(Ok(steered_away)) => steered_away,
            Some(Err(error)) => {
                tracing::debug!(%error, "could not attach a reuseport program: stalled shards still get new connections");
                self.end();
                false
            }
            None => false,
        }
    }

    /// Ends steering, because a listener of the group is about to close; the kernel's hash decides from here on.
    pub(crate) fn end(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
        // Orders the store before taking the group. A thread that uses the group puts it back, then reads `has_ended`:
        // so one of the two ends it.
        fence(Ordering::SeqCst);
        if let Some(group) = self.group.take() {
            group.end();
        }
    }

    /// Returns whether the group has ended, and the watchdog may forget it.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    /// Returns `true` on the first call only.
    pub(crate) fn start_watching(&self) -> bool {
        !self.is_watched.swap(true, Ordering::Relaxed)
    }

    /// Runs `ask` on the group, unless it has ended or is in use.
    fn with_group<R>(&self, ask: impl FnOnce(&mut Group) -> R) -> Option<R> {
        let mut group = self.group.take()?;
        let answer = ask(&mut group);
        self.group.store(Some(group));
        fence(Ordering::SeqCst);
        if self.has_ended() {
            self.end();
        }
        Some(answer)
    }
}

impl fmt::Debug for ReuseportGroup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ReuseportGroup")
            .field("has_ended", &self.has_ended)
            .finish_non_exhaustive()
    }
}

/// The kernel's group of sockets.
struct Group {
    socket: OwnedFd,
    /// The CPU of each socket, if connections are steered by CPU.
    cpus: Option<Box<[usize]>>,
    /// Whether sockets may be left out.
    sheds: bool,
    /// Which sockets get no new connections, by their numbers.
    left_out: Vec<bool>,
}

impl Group {
    fn steer_away_from(&mut self, avoided: &[bool]) -> io::Result<bool> {
        if !self.sheds {
            return Ok(false);
        }
        let mut left_out = vec![false; self.left_out.len()];
        left_out
            .iter_mut()
            .zip(avoided)
            .for_each(|(is_out, is_avoided)| *is_out = *is_avoided);
        // With every socket left out connections would have no target.
        if !left_out.contains(&false) {
            left_out.fill(false);
        }
        let steered_away = left_out.contains(&true);
        if left_out != self.left_out {
            if steered_away || self.cpus.is_some() {
                bpf::attach_reuseport_program(self.socket.as_fd(), &left_out, self.cpus.as_deref())?;
            } else {
                sys::detach_reuseport_program(self.socket.as_fd())?;
            }
            self.left_out = left_out;
        }
        Ok(steered_away)
    }

    fn end(self) {
        if self.cpus.is_some() || self.left_out.contains(&true) {
            // If refused, connections are only distributed unevenly over the remaining listeners.
            sys::detach_reuseport_program(self.socket.as_fd()).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

    use super::*;
    use crate::net::tcp_socket;

    /// Binds listeners on an address and returns them with their group.
    fn bind_group(address: SocketAddr, is_first: bool) -> (Vec<TcpListener>, ReuseportGroup) {
        let mut listeners: Vec<TcpListener> = Vec::new();
        for _ in 0..2 {
            let address = listeners.first().map_or(address, |first| first.local_addr().unwrap());
            let socket = tcp_socket(address, true).unwrap();
            socket.listen(sys::listen_backlog()).unwrap();
            listeners.push(socket.into());
        }
        let duplicate = listeners[0].try_clone().unwrap();
        let reuseport_group = ReuseportGroup::new(duplicate.into(), listeners.len(), is_first);
        (listeners, reuseport_group)
    }

    fn free_port() -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 0).into()
    }

    #[test]
    fn a_group_without_an_alternative_leaves_no_shard_out() {
        let (_listeners, reuseport_group) = bind_group(free_port(), true);
        for (avoided, steered_away) in [
            (&[true, false][..], true),
            (&[true, true], false),
            (&[false, true], true),
            (&[false, false], false),
            (&[true], true),
            (&[false, false, true], false),
        ] {
            assert_eq!(reuseport_group.steer_away_from(avoided), steered_away, "{avoided:?}");
        }
    }

    #[test]
    fn a_later_process_does_not_know_its_sockets_numbers() {
        let (listeners, first) = bind_group(free_port(), true);
        let (_listeners, later) = bind_group(listeners[0].local_addr().unwrap(), false);
        assert!(first.steer_away_from(&[true, false]));
        assert!(!later.steer_away_from(&[true, false]));
    }

    #[test]
    fn after_its_end_no_shard_is_left_out_and_no_socket_is_kept_open() {
        let (mut listeners, reuseport_group) = bind_group(free_port(), true);
        let address = listeners[0].local_addr().unwrap();
        assert!(reuseport_group.steer_away_from(&[true, false]));
        reuseport_group.end();
        drop(listeners.remove(0));
        TcpStream::connect(address).unwrap();
        assert!(!reuseport_group.steer_away_from(&[false, true]) && reuseport_group.has_ended());
        let steered = reuseport_group.steer(&[0, 1]).unwrap_err();
        assert_eq!(steered.kind(), ErrorKind::InvalidInput);
        drop(listeners);
        let refused = TcpStream::connect(address).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_thread_that_uses_the_group_as_it_ends_ends_it() {
        let (listeners, reuseport_group) = bind_group(free_port(), true);
        let address = listeners[0].local_addr().unwrap();
        let ended = reuseport_group.with_group(|_| reuseport_group.end());
        assert!(ended.is_some() && reuseport_group.with_group(|_| ()).is_none());
        drop(listeners);
        assert!(TcpStream::connect(address).is_err());
    }
}
