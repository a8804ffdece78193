//! Memory that the kernel uses: zeroed pages for a buffer ring and its buffers, and single values at a fixed address.
//!
//! The kernel supplies zeroed pages on first use, so untouched memory costs nothing.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

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
    ///
    /// The page size is the system's, because the kernel refuses a buffer ring that is not aligned to it. It is 4 KiB
    /// on x86-64, and 4, 16 or 64 KiB on arm64.
    pub(super) fn new(bytes: usize) -> Option<Self> {
        let page_bytes = rustix::param::page_size();
        let layout = Layout::from_size_align(bytes.max(page_bytes), page_bytes).ok()?;
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

/// One heap value that stays at its address while its owner moves; the kernel may use it until an operation ends.
///
/// A `Box` does not serve: to move one asserts that its content is reached through the box alone.
pub(super) struct Fixed<T> {
    at: NonNull<T>,
}

impl<T> Fixed<T> {
    pub(super) fn new(value: T) -> Self {
        Self {
            at: NonNull::from(Box::leak(Box::new(value))),
        }
    }

    /// Returns the address, which is valid until this owner is dropped.
    pub(super) fn as_ptr(&self) -> *mut T {
        self.at.as_ptr()
    }
}

impl<T> Deref for Fixed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `at` came from a box in `new`, so it is aligned and initialised, and it is freed only in the drop.
        // The borrow of `self` excludes a `&mut` to the value. The kernel writes to no value that is read meanwhile.
        unsafe { self.at.as_ref() }
    }
}

impl<T> DerefMut for Fixed<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; the borrow of `self` excludes every other reference to the value.
        unsafe { self.at.as_mut() }
    }
}

impl<T> Drop for Fixed<T> {
    fn drop(&mut self) {
        // SAFETY: `at` came from `Box::leak` in `new`, and is turned back into a box only here.
        drop(unsafe { Box::from_raw(self.at.as_ptr()) });
    }
}

impl<T: fmt::Debug> fmt::Debug for Fixed<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::{Fixed, Pages};

    #[test]
    fn pages_start_at_a_page_of_the_system() {
        let page_bytes = rustix::param::page_size();
        for bytes in [1, page_bytes, 3 * page_bytes + 1] {
            let pages = Pages::new(bytes).unwrap();
            assert_eq!(pages.start().as_ptr().addr() % page_bytes, 0);
            assert!(pages.bytes() >= bytes.max(page_bytes));
        }
        assert!(Pages::new(usize::MAX).is_none());
    }

    #[test]
    fn a_fixed_value_stays_at_its_address_while_its_owner_moves() {
        let mut values: Vec<Fixed<[u64; 2]>> = vec![Fixed::new([1, 2])];
        let address = values[0].as_ptr();
        values.extend((0..100).map(|_| Fixed::new([0, 0])));
        let mut moved = values.swap_remove(0);
        moved[1] = 3;
        assert_eq!(moved.as_ptr(), address);
        assert_eq!(*moved, [1, 3]);
    }
}
