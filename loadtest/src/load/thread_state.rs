//! The state that all connections of one load thread share: epoll, clock, buffers, counts and pacing.
//!
//! Each connection borrows it for one turn, so an idle connection owns no buffer.

use anyhow::{Context, Result};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::{AsFd, OwnedFd};
use std::net::SocketAddr;

use super::allowance::Allowance;
use super::clock::{Clock, Nanos};
use super::counts::Counts;
use super::pacing::Pacing;
use super::script::ScriptContext;

/// Bytes of one recv(2): holds what a pipelining server sends at once, and fits in the second-level cache.
const READ_BYTES_MAX: usize = 64 * 1024;

/// The shared state of one load thread.
#[derive(Debug)]
pub(crate) struct ThreadState<Shared> {
    epoll: OwnedFd,
    pub(crate) clock: Clock,
    pub(crate) address: SocketAddr,
    pub(crate) pacing: Pacing,
    pub(crate) counts: Counts,
    pub(crate) shared: Shared,
    /// Whether requests may be sent: true from the start of the load to the end of the window.
    pub(crate) is_sending: bool,
    /// The requests that may still be sent.
    pub(crate) allowance: Allowance,
    pub(crate) input: Box<[u8]>,
    pub(crate) output: Vec<u8>,
    /// Whether its connections have TLS.
    pub(crate) is_secure: bool,
    /// What came out of the records in `input`.
    pub(crate) plaintext: Vec<u8>,
}

impl<Shared> ThreadState<Shared> {
    pub(crate) fn new(
        address: SocketAddr,
        is_secure: bool,
        pacing: Pacing,
        clock: Clock,
        shared: Shared,
    ) -> Result<Self> {
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC).context("could not create an epoll instance")?,
            clock,
            address,
            pacing,
            counts: Counts::new(),
            shared,
            is_sending: false,
            allowance: Allowance::UNLIMITED,
            input: vec![0; READ_BYTES_MAX].into_boxed_slice(),
            output: Vec::new(),
            is_secure,
            plaintext: Vec::new(),
        })
    }

    pub(crate) fn epoll(&self) -> &OwnedFd {
        &self.epoll
    }

    /// Adds a descriptor to epoll for its whole life: edge-triggered, so no epoll_ctl(2) follows.
    pub(crate) fn watch(&self, descriptor: impl AsFd, key: u64) -> rustix::io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, descriptor, EventData::new_u64(key), flags)
    }

    /// Returns what one call to a script may use, for an event at `now`.
    #[inline]
    pub(crate) fn script_context(&mut self, now: Nanos) -> ScriptContext<'_, Shared> {
        ScriptContext {
            shared: &mut self.shared,
            now,
            out: &mut self.output,
            counts: &mut self.counts,
        }
    }
}
