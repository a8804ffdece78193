//! Fallible memory: a refused allocation ends one request or connection, where a plain `Vec` would abort the process.
//!
//! Every buffer that a peer can grow is allocated here. Memory of a fixed size cannot be refused: the task of a
//! connection, the future of a handler, an error page. It is small, and it finds room because every check requires
//! [`HEADROOM_BYTES`] to be free.
//!
//! Some limits kill the process instead of refusing memory, such as a control group's. For them, the server adds a
//! check of its own ([`add_check`]).
//!
//! A check sees resident memory only. So a buffer's new pages are touched as soon as it grows. Bytes that are
//! reserved and not yet touched count in the checks of all threads ([`reserved_bytes`]).

#[cfg(feature = "testing")]
mod refusal;

use core::cell::{Cell, RefCell};
use core::hint::black_box;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::io;

#[cfg(feature = "testing")]
pub use refusal::MemoryRefusal;

/// How many bytes must stay free: 1 MiB. That is four times what a shard may take between two checks; the rest is for
/// allocations that are not checked.
pub(crate) const HEADROOM_BYTES: usize = 1024 * 1024;

/// How many bytes a shard may take between two checks: 256 KiB. A check costs a few microseconds, as one large
/// allocation does.
const UNCHECKED_BYTES_MAX: usize = 256 * 1024;

/// From this size on, a block has a mapping of its own, which grows without a copy: 32 MiB, the maximum of glibc's
/// threshold.
const MAPPED_BYTES_MIN: usize = 32 * 1024 * 1024;

/// The smallest page of a machine that runs Linux: 4 KiB.
const PAGE_BYTES: usize = 4 * 1024;

/// Growth up to this size for a response, such as an error page or a head, is refused by the allocator only: 4 KiB.
/// So a refusal itself can still be sent.
const SMALL_BYTES_MAX: usize = 4 * 1024;

/// The bytes that all threads have reserved and not yet touched.
static RESERVED_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Returns whether this number of bytes, which count as reserved already, may be taken.
type AddedCheck = Box<dyn Fn(usize) -> bool>;

thread_local! {
    /// How many bytes this shard may take before its next check.
    static UNCHECKED_BYTES_LEFT: Cell<usize> = const { Cell::new(UNCHECKED_BYTES_MAX) };
    /// The bytes that [`reserve_ahead`] has reserved until this thread's next check.
    static RESERVED_AHEAD: RefCell<Option<Reservation>> = const { RefCell::new(None) };
    /// The check of the server, beside that of the allocator.
    static ADDED_CHECK: RefCell<Option<AddedCheck>> = const { RefCell::new(None) };
}

/// Bytes that count as taken before they are touched. Drop it once they are.
#[derive(Debug)]
pub(crate) struct Reservation(usize);

impl Reservation {
    pub(crate) fn of(bytes: usize) -> Self {
        RESERVED_BYTES.fetch_add(bytes, Ordering::Relaxed);
        Self(bytes)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        RESERVED_BYTES.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// The bytes that all threads have reserved and not yet touched.
///
/// Growth up to 256 KiB is not counted, because it is touched before the next check.
#[cfg(feature = "serve")]
pub(crate) fn reserved_bytes() -> usize {
    RESERVED_BYTES.load(Ordering::Relaxed)
}

/// The error of refused memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutOfMemory;

impl From<OutOfMemory> for io::Error {
    fn from(_: OutOfMemory) -> Self {
        io::ErrorKind::OutOfMemory.into()
    }
}

/// Makes room in a buffer for this number of bytes more.
///
/// The first growth is exact; later ones at least double the buffer.
///
/// # Errors
///
/// Memory is short. The buffer is unchanged; the caller drops it to free its memory.
#[inline]
pub(crate) fn make_room(buffer: &mut Vec<u8>, bytes: usize) -> Result<(), OutOfMemory> {
    make_room_within(buffer, bytes, usize::MAX)
}

/// Makes room as [`make_room`] does, but does not double beyond `bytes_max`, the final size of the buffer.
///
/// # Errors
///
/// As [`make_room`].
#[inline]
pub(crate) fn make_room_within(buffer: &mut Vec<u8>, bytes: usize, bytes_max: usize) -> Result<(), OutOfMemory> {
    if buffer.capacity() - buffer.len() >= bytes {
        Ok(())
    } else {
        grow(buffer, bytes, bytes_max, 0)
    }
}

/// Makes room as [`make_room`] does, for a response: where memory is short, up to 4 KiB are still allowed.
///
/// # Errors
///
/// As [`make_room`].
#[inline]
pub(crate) fn make_room_to_answer(buffer: &mut Vec<u8>, bytes: usize) -> Result<(), OutOfMemory> {
    if buffer.capacity() - buffer.len() >= bytes {
        Ok(())
    } else {
        grow(buffer, bytes, usize::MAX, SMALL_BYTES_MAX)
    }
}

/// Appends bytes to a buffer.
///
/// # Errors
///
/// As [`make_room`]; nothing was appended.
#[inline]
pub(crate) fn append(buffer: &mut Vec<u8>, bytes: &[u8]) -> Result<(), OutOfMemory> {
    make_room(buffer, bytes.len())?;
    buffer.extend_from_slice(bytes);
    Ok(())
}

/// Appends bytes to a response; makes room as [`make_room_to_answer`] does.
///
/// # Errors
///
/// As [`make_room`]; nothing was appended.
#[inline]
pub(crate) fn append_to_answer(buffer: &mut Vec<u8>, bytes: &[u8]) -> Result<(), OutOfMemory> {
    make_room_to_answer(buffer, bytes.len())?;
    buffer.extend_from_slice(bytes);
    Ok(())
}

/// Accounts for bytes that were just taken, or that a small infallible allocation will take.
///
/// # Errors
///
/// Memory is short: the caller gives the bytes back, or does not take them.
pub(crate) fn reserve(bytes: usize) -> Result<(), OutOfMemory> {
    reserve_or_allow_small(bytes, 0)
}

/// Accounts for bytes of a response: where memory is short, up to 4 KiB are still allowed.
///
/// # Errors
///
/// As [`reserve`].
#[cfg(feature = "serve")]
pub(crate) fn reserve_to_answer(bytes: usize) -> Result<(), OutOfMemory> {
    reserve_or_allow_small(bytes, SMALL_BYTES_MAX)
}

/// Reserves `bytes`. Up to `small_bytes_max` pass even if the added check refuses; the next growth then checks again.
fn reserve_or_allow_small(bytes: usize, small_bytes_max: usize) -> Result<(), OutOfMemory> {
    let left = match UNCHECKED_BYTES_LEFT.get().checked_sub(bytes) {
        Some(left) => left,
        None => match check(0) {
            Ok(_) => UNCHECKED_BYTES_MAX,
            Err(Refusal::AddedCheck) if bytes <= small_bytes_max => return Ok(()),
            Err(_) => return Err(OutOfMemory),
        },
    };
    UNCHECKED_BYTES_LEFT.set(left);
    Ok(())
}

/// Reserves bytes of any size that infallible allocations of this thread will take before its next check.
///
/// # Errors
///
/// They would leave less than the headroom.
pub(crate) fn reserve_ahead(bytes: usize) -> Result<(), OutOfMemory> {
    if bytes <= UNCHECKED_BYTES_MAX {
        return reserve(bytes);
    }
    let reservation = check(bytes).map_err(|_| OutOfMemory)?;
    RESERVED_AHEAD.replace(Some(reservation));
    Ok(())
}

/// Whether this number of bytes, and the headroom, are available now.
pub(crate) fn has_headroom(bytes: usize) -> bool {
    check(bytes).is_ok()
}

/// The source of a refusal.
enum Refusal {
    /// The allocator, or a test.
    Allocator,
    /// The check given to [`add_check`], which refuses before the kernel kills the process.
    AddedCheck,
}

/// Checks that `missing` bytes and the headroom are available, and reserves `missing`.
fn check(missing: usize) -> Result<Reservation, Refusal> {
    // Bytes reserved ahead have been touched by now, or never will be.
    RESERVED_AHEAD.take();
    let mut block = Vec::<u8>::new();
    let reserved = block.try_reserve_exact(HEADROOM_BYTES.saturating_add(missing));
    // Without this, the compiler may remove the unused allocation and assume that it succeeds.
    black_box(&mut block);
    // Refused bytes are not reserved, but the added check still runs: it also measures the memory pressure.
    let reservation = Reservation::of(reserved.as_ref().map_or(0, |()| missing));
    let may_grow = ADDED_CHECK.with_borrow(|may_grow| may_grow.as_ref().is_none_or(|may_grow| may_grow(reservation.0)));
    if reserved.is_err() || is_refused() {
        Err(Refusal::Allocator)
    } else if may_grow {
        Ok(reservation)
    } else {
        Err(Refusal::AddedCheck)
    }
}

/// Adds a check of this thread: memory is refused unless `may_grow` returns `true`.
///
/// Its argument is part of [`reserved_bytes`] already.
#[cfg(any(feature = "serve", test))]
pub(crate) fn add_check(may_grow: impl Fn(usize) -> bool + 'static) {
    ADDED_CHECK.with(|asked| asked.replace(Some(Box::new(may_grow))));
}

#[cold]
#[inline(never)]
fn grow(buffer: &mut Vec<u8>, bytes: usize, bytes_max: usize, small_bytes_max: usize) -> Result<(), OutOfMemory> {
    if is_refused() {
        return Err(OutOfMemory);
    }
    let before = buffer.capacity();
    let doubled = before.saturating_mul(2).min(bytes_max);
    let more = doubled.saturating_sub(buffer.len()).max(bytes);
    if more <= UNCHECKED_BYTES_MAX {
        buffer.try_reserve_exact(more).map_err(|_| OutOfMemory)?;
        touch(buffer.spare_capacity_mut());
        // The pages are resident now, so a check that is due sees them.
        return reserve_or_allow_small(buffer.capacity() - before, small_bytes_max);
    }
    // A block below the mapping threshold may move. Old and new one then exist at once, so the copied bytes count too.
    let copied = if before >= MAPPED_BYTES_MIN { 0 } else { buffer.len() };
    let reservation = check(copied.saturating_add(more)).map_err(|_| OutOfMemory)?;
    buffer.try_reserve_exact(more).map_err(|_| OutOfMemory)?;
    touch(buffer.spare_capacity_mut());
    drop(reservation);
    Ok(())
}

/// Makes the kernel supply every page of a new block, so that the next check sees them.
fn touch(block: &mut [MaybeUninit<u8>]) {
    for page in block.chunks_mut(PAGE_BYTES) {
        if let Some(last) = page.last_mut() {
            last.write(0);
        }
    }
    // Without this, the compiler may remove the writes, because nothing reads them.
    black_box(block);
}

/// Whether a test makes this request fail.
fn is_refused() -> bool {
    #[cfg(feature = "testing")]
    return refusal::is_due();
    #[cfg(not(feature = "testing"))]
    return false;
}

/// A buffer for code that knows only [`io::Write`]: refused memory is [`io::ErrorKind::OutOfMemory`].
#[derive(Debug)]
pub(crate) struct FallibleWriter<'b>(pub(crate) &'b mut Vec<u8>);

impl io::Write for FallibleWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        append_to_answer(self.0, bytes).map_err(io::Error::from)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;
    use std::rc::Rc;

    use super::{
        OutOfMemory, UNCHECKED_BYTES_MAX, add_check, append, has_headroom, make_room, make_room_within, reserve,
    };

    #[test]
    fn impossible_sizes_are_refused_and_the_buffer_is_unchanged() {
        let mut buffer = b"kept".to_vec();
        assert_eq!(make_room(&mut buffer, isize::MAX as usize), Err(OutOfMemory));
        assert_eq!(make_room(&mut buffer, usize::MAX), Err(OutOfMemory));
        assert_eq!(buffer, b"kept");
        assert!(!has_headroom(usize::MAX));
        assert!(has_headroom(0));
    }

    #[test]
    fn the_first_room_is_exact_and_the_buffer_doubles_after_it() {
        let mut buffer = Vec::new();
        append(&mut buffer, &[0; 100]).unwrap();
        assert_eq!(buffer.capacity(), 100);
        append(&mut buffer, &[0; 1]).unwrap();
        assert_eq!(buffer.capacity(), 200);
    }

    #[test]
    fn a_buffer_doubles_up_to_its_final_size_and_then_grows_exactly() {
        let mut buffer = vec![0; 100];
        for (bytes, capacity) in [(1, 200), (101, 250), (151, 251), (400, 500)] {
            make_room_within(&mut buffer, bytes, 250).unwrap();
            assert_eq!(buffer.capacity(), capacity, "{bytes}");
        }
    }

    #[test]
    fn memory_is_checked_once_every_256_kib() {
        // A new thread has reserved nothing yet.
        let checks = std::thread::spawn(|| {
            let checks = Rc::new(Cell::new(0));
            let counted = Rc::clone(&checks);
            add_check(move |_| {
                counted.set(counted.get() + 1);
                true
            });
            [UNCHECKED_BYTES_MAX, 1, UNCHECKED_BYTES_MAX, 1].map(|bytes| {
                reserve(bytes).unwrap();
                checks.replace(0)
            })
        });
        assert_eq!(checks.join().unwrap(), [0, 1, 0, 1]);
    }
}
