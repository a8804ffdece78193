//! How peers end their connections: a second epoll instance of the shard, beside tokio's, that watches only for ends.
//!
//! Why: tokio keeps one waker for reading and reports a closed half as "readable" forever. So it cannot wait for what
//! follows, or for an end behind unread bytes. Two instances may watch one descriptor, and tokio watches this instance.
//!
//! Invariant: a socket is in the table while it is watched here, and leaves both before it is closed.

use std::cell::{Cell, OnceCell, RefCell};
use std::mem::MaybeUninit;
use std::num::NonZeroU64;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::task::{Context, Poll, Waker};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use slab::Slab;
use tokio::io::unix::AsyncFd;

use crate::driver::peer_end::{EndSeen, PeerEnd};
use crate::os::sys::watch;

/// How many events one call takes; they are on the stack.
const EVENTS_AT_ONCE_MAX: usize = 64;

/// The sockets whose peers' ends are awaited.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// Created with the first watch.
    poller: OnceCell<AsyncFd<OwnedFd>>,
    watched: RefCell<Slab<Watched>>,
    generation: Cell<u32>,
}

/// One watched socket.
#[derive(Debug)]
struct Watched {
    generation: u32,
    seen: EndSeen,
    waker: Option<Waker>,
}

/// The key of a watched socket: its table index in the low word, the generation of its use (never zero) in the high word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EndKey(NonZeroU64);

impl EndKey {
    #[expect(clippy::cast_possible_truncation, reason = "the low word is cut out on purpose")]
    const fn index(self) -> usize {
        self.0.get() as u32 as usize
    }

    const fn generation(self) -> u32 {
        (self.0.get() >> 32) as u32
    }
}

impl Ends {
    /// Watches a socket, of whose end `seen` is already known.
    ///
    /// # Errors
    ///
    /// The process is out of descriptors, memory or epoll watches.
    pub(super) fn watch(&self, socket: BorrowedFd<'_>, seen: EndSeen) -> Result<EndKey, Errno> {
        let poller = match self.poller.get() {
            Some(poller) => poller,
            None => {
                let made = watch(epoll::create(CreateFlags::CLOEXEC)?).map_err(|(_, error)| error)?;
                self.poller.get_or_init(|| made)
            }
        };
        let generation = self.generation.get().checked_add(1).unwrap_or(1);
        self.generation.set(generation);
        let mut watched = self.watched.borrow_mut();
        let index = watched.insert(Watched {
            generation,
            seen,
            waker: None,
        });
        let key = u64::from(generation) << 32 | index as u64;
        let flags = EventFlags::RDHUP | EventFlags::ET;
        let added = epoll::add(poller, socket, EventData::new_u64(key), flags);
        match (added, NonZeroU64::new(key)) {
            (Ok(()), Some(key)) => Ok(EndKey(key)),
            (failed, _) => {
                watched.remove(index);
                Err(failed.err().unwrap_or(Errno::INVAL))
            }
        }
    }

    /// Stops watching a socket, which is still open.
    pub(super) fn forget(&self, key: EndKey, socket: BorrowedFd<'_>) {
        if let Some(poller) = self.poller.get() {
            // Fails only if the socket is not watched, which is what is wanted.
            epoll::delete(poller, socket).unwrap_or_default();
        }
        let forgotten = self.watched.borrow_mut().try_remove(key.index());
        drop(forgotten);
    }

    /// Waits for a change of one socket's end.
    pub(super) fn poll(&self, key: EndKey, cx: &Context<'_>) -> Poll<PeerEnd> {
        self.with(key, |watched| match watched.seen.report() {
            Some(end) => Poll::Ready(end),
            None => {
                match &mut watched.waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    none => *none = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
        })
        .unwrap_or(Poll::Ready(PeerEnd::Gone))
    }

    /// Records something that no event reports; `note` returns whether it is new.
    pub(super) fn note(&self, key: EndKey, note: impl FnOnce(&mut EndSeen) -> bool) {
        let waker = self.with(key, |watched| {
            let has_news = note(&mut watched.seen);
            watched.waker.take_if(|_| has_news)
        });
        if let Some(waker) = waker.flatten() {
            waker.wake();
        }
    }

    /// Returns whether any socket is watched.
    pub(super) fn is_watching(&self) -> bool {
        !self.watched.borrow().is_empty()
    }

    /// Takes all events and wakes the tasks concerned; ready if there was one. It keeps the waker of the shard's turn.
    #[inline]
    pub(super) fn poll_events(&self, cx: &mut Context<'_>) -> Poll<()> {
        // Inlined, because every turn of a shard asks, and most shards watch no peer.
        match self.poller.get() {
            None => Poll::Pending,
            Some(poller) => self.take_events(poller, cx),
        }
    }

    #[inline(never)]
    fn take_events(&self, poller: &AsyncFd<OwnedFd>, cx: &mut Context<'_>) -> Poll<()> {
        let mut happened = Poll::Pending;
        while let Poll::Ready(Ok(mut ready)) = poller.poll_read_ready(cx) {
            let mut events = [MaybeUninit::<Event>::uninit(); EVENTS_AT_ONCE_MAX];
            let now = Some(&rustix::event::Timespec::default());
            let Ok((events, rest)) = epoll::wait(poller, &mut events[..], now) else {
                // Interrupted, which does not happen to a call that does not wait: the next turn looks again.
                break;
            };
            for event in &*events {
                let (key, flags) = ({ event.data }.u64(), { event.flags }.bits());
                happened = Poll::Ready(());
                if let Some(key) = NonZeroU64::new(key) {
                    self.note(EndKey(key), |seen| seen.note(flags));
                }
            }
            if !rest.is_empty() {
                ready.clear_ready();
            }
        }
        happened
    }

    /// Runs `call` on a socket that is still watched.
    fn with<R>(&self, key: EndKey, call: impl FnOnce(&mut Watched) -> R) -> Option<R> {
        let mut table = self.watched.borrow_mut();
        let watched = table.get_mut(key.index());
        let watched = watched.filter(|watched| watched.generation == key.generation());
        watched.map(call)
    }
}
