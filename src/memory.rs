//! Memory that may be refused: a "no" ends the request or the connection that asked, where a `Vec` that grows by itself would end the
//! process.
//!
//! What grows with what a peer sends, or with what it is sent, asks for its memory here. What a connection or a request takes whatever
//! its content, its task, its handler's future, an error page, cannot be refused; it is small, and finds room because nothing is granted
//! for long without a look whether [`HEADROOM_BYTES`] are left. Where a limit kills instead of refusing, somebody else can say no at
//! the same look ([`add_check`]).
//!
//! Such a look sees what the process has touched. So a buffer that grows is touched at once, whatever will be written to it; and while
//! much is granted and not touched yet, it counts as promised, for the looks of all threads ([`reserved_bytes`]).

#[cfg(feature = "testing")]
mod refusal;

use core::cell::{Cell, RefCell};
use core::hint::black_box;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::io;

#[cfg(feature = "testing")]
pub use refusal::MemoryRefusal;

/// How much must be left. 1 MiB: four times what a shard is granted between two looks, and the rest for what does not ask.
pub(crate) const HEADROOM_BYTES: usize = 1024 * 1024;

/// How much a shard is granted between two looks. 256 KiB: a look costs what one large allocation costs, a few microseconds.
const UNCHECKED_BYTES_MAX: usize = 256 * 1024;

/// From here on a block has a mapping of its own, which grows without a copy. 32 MiB: the most that glibc's threshold for that rises to.
const MAPPED_BYTES_MIN: usize = 32 * 1024 * 1024;

/// The least page of a machine that Linux runs on. 4 KiB.
const PAGE_BYTES: usize = 4 * 1024;

/// Up to here growth that answers is small: an error page, a response's head. Only the allocator refuses it, so that there are words for a
/// refusal. 4 KiB.
const SMALL_BYTES_MAX: usize = 4 * 1024;

/// What all threads together were granted and have not touched yet.
static RESERVED_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Answers at a look whether this number of bytes, which are promised already, may be taken.
type AddedCheck = Box<dyn Fn(usize) -> bool>;

thread_local! {
    /// How much this shard may be granted before the next look.
    static UNCHECKED_BYTES_LEFT: Cell<usize> = const { Cell::new(UNCHECKED_BYTES_MAX) };
    /// What this thread was told about with [`reserve_ahead`] and takes until its next look.
    static RESERVED_AHEAD: RefCell<Option<Reservation>> = const { RefCell::new(None) };
    /// Who is asked at every look of this thread, beside the allocator.
    static ADDED_CHECK: RefCell<Option<AddedCheck>> = const { RefCell::new(None) };
}

/// Bytes that count as held until they are touched; then this value is dropped.
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

/// What all threads together were granted and have not touched yet, in bytes; but for small growth, which is touched before the next look.
#[cfg(feature = "serve")]
pub(crate) fn reserved_bytes() -> usize {
    RESERVED_BYTES.load(Ordering::Relaxed)
}

/// There is no memory for what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutOfMemory;

impl From<OutOfMemory> for io::Error {
    fn from(_: OutOfMemory) -> Self {
        io::ErrorKind::OutOfMemory.into()
    }
}

/// Makes room in a buffer for so many bytes more. The first room is exactly what is asked for; later the buffer at least doubles.
///
/// # Errors
///
/// There is none. The buffer holds what it held; whoever has it lets go of it, for the sake of all others.
#[inline]
pub(crate) fn make_room(buffer: &mut Vec<u8>, bytes: usize) -> Result<(), OutOfMemory> {
    make_room_within(buffer, bytes, usize::MAX)
}

/// Makes room as [`make_room`] does, for a buffer that will hold `bytes_max` in the end: it does not double beyond that.
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

/// Makes room as [`make_room`] does, for what a peer is answered: where memory is short, a little may still be said.
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

/// Appends bytes to what a peer is answered, as [`make_room_to_answer`] makes room.
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

/// Says that so many bytes have been taken, or few are about to be in ways that cannot be refused.
///
/// # Errors
///
/// They leave too little: they are to be given back, or not to be taken.
pub(crate) fn reserve(bytes: usize) -> Result<(), OutOfMemory> {
    reserve_or_allow_small(bytes, 0)
}

/// Says the same of what answers a peer, if only by a refusal: where memory is short, a little may still be taken.
///
/// # Errors
///
/// As [`reserve`].
#[cfg(feature = "serve")]
pub(crate) fn reserve_to_answer(bytes: usize) -> Result<(), OutOfMemory> {
    reserve_or_allow_small(bytes, SMALL_BYTES_MAX)
}

/// Grants `bytes`. Up to `small_bytes_max` are granted even where they leave too little; the next growth then looks again.
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

/// Announces `bytes`, of any size, that this thread will take before its next look, in ways that cannot be refused.
///
/// # Errors
///
/// They would leave too little.
pub(crate) fn reserve_ahead(bytes: usize) -> Result<(), OutOfMemory> {
    if bytes <= UNCHECKED_BYTES_MAX {
        return reserve(bytes);
    }
    let reservation = check(bytes).map_err(|_| OutOfMemory)?;
    RESERVED_AHEAD.replace(Some(reservation));
    Ok(())
}

/// Whether so many bytes, and the headroom, could be had now.
pub(crate) fn has_headroom(bytes: usize) -> bool {
    check(bytes).is_ok()
}

/// Who refuses.
enum Refusal {
    /// The allocator, or a test.
    Allocator,
    /// Who is asked beside it ([`add_check`]), before the kernel kills.
    AddedCheck,
}

/// Looks whether `missing` bytes and the headroom can be had, and promises them.
fn check(missing: usize) -> Result<Reservation, Refusal> {
    // What was foreseen has been touched by now, or will not be.
    RESERVED_AHEAD.take();
    let mut block = Vec::<u8>::new();
    let reserved = block.try_reserve_exact(HEADROOM_BYTES.saturating_add(missing));
    // Or the compiler would see that it is not used, and take it for granted.
    black_box(&mut block);
    // Bytes that the allocator refuses are not promised; the look counts all the same.
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

/// Has every look of this thread ask `may_grow` too, and refuse without its yes. It is asked about bytes that [`reserved_bytes`] has already.
#[cfg(feature = "serve")]
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
        return reserve_or_allow_small(buffer.capacity() - before, small_bytes_max);
    }
    // The allocator may have to copy the buffer, and then all of the new one is missing.
    let copied = if before >= MAPPED_BYTES_MIN { 0 } else { buffer.len() };
    let reservation = check(copied.saturating_add(more)).map_err(|_| OutOfMemory)?;
    buffer.try_reserve_exact(more).map_err(|_| OutOfMemory)?;
    touch(buffer.spare_capacity_mut());
    drop(reservation);
    Ok(())
}

/// Has the kernel give every page of a block that was granted, so that the next look sees it.
fn touch(block: &mut [MaybeUninit<u8>]) {
    for page in block.chunks_mut(PAGE_BYTES) {
        if let Some(last) = page.last_mut() {
            last.write(0);
        }
    }
    // Or the compiler would see that these are never read.
    black_box(block);
}

/// Whether a test wants this request refused.
fn is_refused() -> bool {
    #[cfg(feature = "testing")]
    return refusal::is_due();
    #[cfg(not(feature = "testing"))]
    return false;
}

/// A buffer that something is written to which knows nothing of [`OutOfMemory`]: it hears of [`io::ErrorKind::OutOfMemory`].
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
    use super::{OutOfMemory, UNCHECKED_BYTES_MAX, append, has_headroom, make_room, make_room_within, reserve};

    #[test]
    fn what_nobody_has_is_refused() {
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
    fn a_buffer_doubles_up_to_what_it_will_hold_and_then_grows_by_what_it_must() {
        let mut buffer = vec![0; 100];
        for (bytes, capacity) in [(1, 200), (101, 250), (151, 251), (400, 500)] {
            make_room_within(&mut buffer, bytes, 250).unwrap();
            assert_eq!(buffer.capacity(), capacity, "{bytes}");
        }
    }

    #[test]
    fn memory_is_looked_at_after_so_much() {
        // On a thread of its own, that has been granted nothing yet.
        let looks = std::thread::spawn(|| {
            let looks = |bytes: usize| allocation_counter::measure(|| reserve(bytes).unwrap()).count_total;
            [
                looks(UNCHECKED_BYTES_MAX),
                looks(1),
                looks(UNCHECKED_BYTES_MAX),
                looks(1),
            ]
        });
        assert_eq!(looks.join().unwrap(), [0, 1, 0, 1]);
    }
}
