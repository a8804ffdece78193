//! Page-aligned, zeroed memory that the kernel writes to: the entries of a buffer ring, and the buffers themselves.
//!
//! The kernel supplies zeroed pages on first use, so untouched memory costs nothing.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// The page size a buffer ring must be aligned to, on x86-64 and most arm64.
const PAGE_BYTES: usize = 4096;

/// One zeroed allocation aligned to a page.
#[derive(Debug)]
pub(super) struct Pages {
    start: NonNull<u8>,
    layout: Layout,
    /// Never freed, because the kernel may still use it.
    kept: bool,
}

impl Pages {
    /// Allocates `bytes` bytes, at least one page; `None` if the size exceeds an allocation.
    pub(super) fn new(bytes: usize) -> Option<Self> {
        let layout = Layout::from_size_align(bytes.max(PAGE_BYTES), PAGE_BYTES).ok()?;
        // SAFETY: the layout's size is at least one page, so not zero.
        let start = unsafe { alloc_zeroed(layout) };
        let start = NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout));
        Some(Self {
            start,
            layout,
            kept: false,
        })
    }

    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Leaks the memory, because the kernel may still use it.
    pub(super) fn keep(&mut self) {
        self.kept = true;
    }

    pub(super) fn bytes(&self) -> usize {
        self.layout.size()
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        // SAFETY: `start` came from `alloc_zeroed` with this very layout in `new`, and is freed only here.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}
