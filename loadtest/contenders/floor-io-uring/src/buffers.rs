//! The provided-buffer ring: receive buffers that the program lends to the kernel.
//!
//! A silent connection holds none of them. Invariant: a buffer belongs to the kernel from [`Buffers::give_back`] until
//! a completion names it, and to this program from then until it is given back.

use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

/// Buffers in the ring, a power of two: two for each connection of the largest busy workload.
const BUFFERS: u16 = 1024;

/// Bytes of one buffer; it holds 16 pipelined requests.
pub const BUFFER_BYTES: usize = 2048;

/// The only buffer group.
pub const GROUP: u16 = 0;

#[repr(C, align(4096))]
#[derive(Clone)]
struct Page([u8; 4096]);

pub struct Buffers {
    /// The first of `BUFFERS` entries; the kernel reads them, and only this struct writes them.
    entries: *mut BufRingEntry,
    /// The first of `BUFFERS` times `BUFFER_BYTES` bytes.
    memory: *mut u8,
    tail: u16,
}

impl Buffers {
    /// Registers the ring and lends all buffers to the kernel; the memory lives until the process ends.
    pub fn register(submitter: &Submitter<'_>) -> io::Result<Self> {
        let entries = leak_pages(size_of::<BufRingEntry>() * usize::from(BUFFERS)).cast();
        let memory = leak_pages(BUFFER_BYTES * usize::from(BUFFERS));
        // SAFETY: `entries` is page-aligned, holds `BUFFERS` zeroed entries, and is never freed.
        unsafe { submitter.register_buf_ring_with_flags(entries as u64, BUFFERS, GROUP, 0)? };
        let mut buffers = Self {
            entries,
            memory,
            tail: 0,
        };
        for buffer in 0..BUFFERS {
            buffers.give_back(buffer);
        }
        Ok(buffers)
    }

    /// Returns the first `bytes` bytes of `buffer`, which a completion has just named.
    pub fn received(&self, buffer: u16, bytes: usize) -> &[u8] {
        assert!(buffer < BUFFERS && bytes <= BUFFER_BYTES);
        // SAFETY: by the assertion the offset is inside the memory, which is never freed.
        let start = unsafe { self.memory.add(usize::from(buffer) * BUFFER_BYTES) };
        // SAFETY: the memory was zeroed, so it is initialized. The kernel does not write into a buffer after its
        // completion. `give_back` borrows mutably, so it cannot lend the buffer again while this slice lives.
        unsafe { std::slice::from_raw_parts(start, bytes) }
    }

    /// Lends `buffer` to the kernel again.
    pub fn give_back(&mut self, buffer: u16) {
        assert!(buffer < BUFFERS);
        let slot = usize::from(self.tail & (BUFFERS - 1));
        // SAFETY: `slot` is below `BUFFERS`.
        let entry = unsafe { self.entries.add(slot) };
        // SAFETY: the entry is valid, aligned, and beyond the tail, where the kernel does not read.
        let entry = unsafe { &mut *entry };
        entry.set_addr(self.memory as u64 + u64::from(buffer) * BUFFER_BYTES as u64);
        entry.set_len(BUFFER_BYTES as u32);
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: `entries` is the address of the first entry, which is initialized.
        let tail = unsafe { BufRingEntry::tail(self.entries) };
        // SAFETY: the tail is two aligned bytes of the first entry, which is never freed; only this struct and the
        // kernel access them.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        // The release makes the entry visible before the tail that covers it.
        tail.store(self.tail, Ordering::Release);
    }
}

fn leak_pages(bytes: usize) -> *mut u8 {
    let pages = vec![Page([0; 4096]); bytes.div_ceil(size_of::<Page>())];
    Box::leak(pages.into_boxed_slice()).as_mut_ptr().cast()
}
