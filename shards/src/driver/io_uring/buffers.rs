//! The provided-buffer ring: the kernel picks a buffer when bytes arrive, so an idle connection holds none.
//!
//! Every buffer is in exactly one place. The kernel may write to a *published* one. A slot or a
//! [`Received`](super::Received) owns the bytes of a *held* one. The others are *free*. Only a window of buffers is
//! published, and free ones are reused last in, first out. So a lightly loaded shard keeps receiving into memory still
//! in its cache. While connections are parked for lack of a buffer, all free ones are published.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::IoUring;
use io_uring::types::BufRingEntry;

use super::memory::Pages;

/// The id of the one buffer group of a ring.
pub(super) const GROUP: u16 = 0;

/// The number of a buffer.
pub(super) type BufferId = u16;

/// The memory of the buffers, shared with every holder. The kernel writes to a buffer while it is published, and its
/// holder while it is held.
#[derive(Debug)]
pub(super) struct BufferMemory {
    pages: Pages,
    buffer_bytes: usize,
}

impl BufferMemory {
    /// Leaks the buffers, because the kernel may still write to them.
    pub(super) fn keep(&mut self) {
        self.pages.keep();
    }

    /// Overwrites a buffer, in builds with debug assertions.
    ///
    /// # Safety
    ///
    /// The buffer is held, and no slice of it exists.
    pub(super) unsafe fn poison(&self, buffer: BufferId) {
        if cfg!(debug_assertions) {
            let offset = usize::from(buffer) * self.buffer_bytes;
            // SAFETY: buffer numbers are below the count the pages were sized for, so the offset lies inside them.
            let start = unsafe { self.pages.start().add(offset) };
            // SAFETY: the buffer lies inside the pages, which live as long as `self`. The caller promises that neither
            // the kernel nor a slice uses it meanwhile.
            unsafe { start.write_bytes(POISON, self.buffer_bytes) };
        }
    }

    /// Returns the first `length` bytes of a buffer.
    ///
    /// # Safety
    ///
    /// The buffer is held: the kernel reported it with at least `length` bytes, and it is not published again before the
    /// returned slice is gone.
    pub(super) unsafe fn received(&self, buffer: BufferId, length: usize) -> &[u8] {
        let bytes = self.place(buffer, length);
        // SAFETY: the place lies inside the pages, which live as long as `self`. They were zeroed when allocated, so
        // every byte is initialised. The caller promises that the kernel does not write to this buffer meanwhile.
        unsafe { bytes.as_ref() }
    }

    /// Returns where the first `length` bytes of a buffer are, at most the whole buffer.
    pub(super) fn place(&self, buffer: BufferId, length: usize) -> NonNull<[u8]> {
        let offset = usize::from(buffer) * self.buffer_bytes;
        let length = length.min(self.buffer_bytes);
        debug_assert!(
            offset + length <= self.pages.bytes(),
            "buffer {buffer} lies outside the pool"
        );
        // SAFETY: buffer numbers are below the count the pages were sized for, so the offset lies inside them.
        let start = unsafe { self.pages.start().add(offset) };
        NonNull::slice_from_raw_parts(start, length)
    }
}

/// The byte that overwrites returned buffers in builds with debug assertions. If one client's bytes could reach
/// another, every test that compares what it receives would fail.
const POISON: u8 = 0xa5;

/// The fields of an entry (`struct io_uring_buf`) but the last, two reserved bytes, in which entry 0 has the ring's tail.
///
/// Packed, so that a write of these fields leaves the tail untouched.
#[repr(C, packed(2))]
struct EntryFields {
    address: u64,
    length: u32,
    buffer: BufferId,
}

const _: () = assert!(size_of::<EntryFields>() + size_of::<u16>() == size_of::<BufRingEntry>());

/// The ring of entries that publishes buffers, and the numbers of the free ones.
#[derive(Debug)]
pub(super) struct Buffers {
    entries: Pages,
    /// The address of the first buffer, in the form the kernel is given.
    data: u64,
    count: u16,
    buffer_bytes: u32,
    /// Where the next entry is written; storing it in the shared tail shows it to the kernel.
    tail: u16,
    published: u16,
    window: u16,
    free: Vec<BufferId>,
    /// For each held buffer, its length and the next buffer of the same stream.
    links: Vec<(u32, BufferId)>,
}

impl Buffers {
    /// Allocates `count` buffers (a power of two, at most 32768) of `buffer_bytes` each and registers their ring.
    ///
    /// # Errors
    ///
    /// The kernel refused the registration (too old, or out of memory), or the sizes exceed an allocation.
    ///
    /// # Safety
    ///
    /// Both values are kept until the registration has ended: the caller [unregisters](Self::unregister) it after the
    /// last operation, or leaks them. [`Uring`](super::uring::Uring) does this in its drop.
    pub(super) unsafe fn register(
        ring: &IoUring,
        count: u16,
        buffer_bytes: u32,
    ) -> std::io::Result<(Self, BufferMemory)> {
        let too_large = || {
            std::io::Error::new(
                std::io::ErrorKind::InvalidInput,
                "the receive buffers do not fit in memory",
            )
        };
        let entries = Pages::new(usize::from(count) * size_of::<BufRingEntry>()).ok_or_else(too_large)?;
        let pages = Pages::new(usize::from(count) * buffer_bytes as usize).ok_or_else(too_large)?;
        // SAFETY: `entries` holds `count` entries and is page-aligned. The caller keeps it until the registration ends.
        unsafe {
            ring.submitter()
                .register_buf_ring_with_flags(entries.start().as_ptr() as u64, count, GROUP, 0)?;
        }
        let mut buffers = Self {
            entries,
            data: pages.start().as_ptr() as u64,
            count,
            buffer_bytes,
            tail: 0,
            published: 0,
            window: (count / 4).max(1),
            free: (0..count).rev().collect(),
            links: vec![(0, 0); usize::from(count)],
        };
        buffers.publish(false);
        Ok((
            buffers,
            BufferMemory {
                pages,
                buffer_bytes: buffer_bytes as usize,
            },
        ))
    }

    /// Records that the kernel has filled a published buffer.
    pub(super) fn taken(&mut self) {
        self.published = self.published.saturating_sub(1);
    }

    /// Frees a held buffer; it is published at the end of the turn.
    pub(super) fn give_back(&mut self, buffer: BufferId) {
        debug_assert!(
            self.available() < usize::from(self.count),
            "buffer {buffer} was given back twice"
        );
        self.free.push(buffer);
    }

    /// Records how many bytes the kernel has put into a buffer.
    pub(super) fn set_length(&mut self, buffer: BufferId, length: usize) {
        if let Some(link) = self.links.get_mut(usize::from(buffer)) {
            link.0 = u32::try_from(length).unwrap_or(u32::MAX);
        }
    }

    /// Chains a buffer behind another one of the same stream.
    pub(super) fn set_next(&mut self, buffer: BufferId, next: BufferId) {
        if let Some(link) = self.links.get_mut(usize::from(buffer)) {
            link.1 = next;
        }
    }

    /// Returns the length of a held buffer and the buffer after it.
    pub(super) fn link(&self, buffer: BufferId) -> (u32, BufferId) {
        self.links.get(usize::from(buffer)).copied().unwrap_or_default()
    }

    /// Returns the number of buffers that are published or free.
    pub(super) fn available(&self) -> usize {
        usize::from(self.published) + self.free.len()
    }

    /// Returns how many buffers the kernel may fill now.
    pub(super) fn published(&self) -> u16 {
        self.published
    }

    /// Publishes free buffers: up to the window, or all of them if connections are parked for lack of one.
    pub(super) fn publish(&mut self, everything: bool) {
        let goal = if everything { self.count } else { self.window };
        let before = self.tail;
        while self.published < goal
            && let Some(buffer) = self.free.pop()
        {
            let index = usize::from(self.tail & (self.count - 1));
            let fields = EntryFields {
                address: self.data + u64::from(buffer) * u64::from(self.buffer_bytes),
                length: self.buffer_bytes,
                buffer,
            };
            let entries = self.entries.start().cast::<BufRingEntry>();
            // SAFETY: the index is below `count`, and the pages hold `count` entries.
            let entry = unsafe { entries.add(index) };
            // SAFETY: inside the pages (above) and aligned. The kernel reads entries only below the tail we store; this one
            // lies at the tail, so only this thread uses these fields. No reference is made, and the tail is not among them.
            unsafe { entry.cast::<EntryFields>().write(fields) };
            self.tail = self.tail.wrapping_add(1);
            self.published += 1;
        }
        if self.tail != before {
            self.shared_tail().store(self.tail, Ordering::Release);
        }
    }

    fn shared_tail(&self) -> &AtomicU16 {
        let base = self.entries.start().cast::<BufRingEntry>().as_ptr();
        // SAFETY: `base` is the first entry of a registered, page-aligned ring.
        let tail = unsafe { BufRingEntry::tail(base) };
        // SAFETY: the tail is two bytes inside the pages, aligned, and valid as long as `self`. We and the kernel reach it
        // only atomically: `publish` writes the other fields of entry 0 alone.
        unsafe { AtomicU16::from_ptr(tail.cast_mut()) }
    }

    /// Leaks the entries, because the kernel may still read them.
    pub(super) fn keep_entries(&mut self) {
        self.entries.keep();
    }

    /// Unregisters the ring of buffers from the kernel.
    pub(super) fn unregister(&self, ring: &IoUring) -> std::io::Result<()> {
        ring.submitter().unregister_buf_ring(GROUP)
    }
}
