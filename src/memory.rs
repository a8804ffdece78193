//! Memory that may be refused: a "no" ends the request or the connection that asked, where a `Vec` that grows by itself would end the
//! process.
//!
//! What grows with what a peer sends, or with what it is sent, asks for its memory here. What a connection or a request takes whatever
//! its content, its task, its handler's future, a head, an error page, does not ask: it is small, and finds room because whoever is
//! granted much, and every new connection, must leave [`HEADROOM_BYTES`] free.

#[cfg(feature = "testing")]
mod refusal;

use core::hint::black_box;
use std::io;

#[cfg(feature = "testing")]
pub use refusal::MemoryRefusal;

/// How much must be left when something large has been granted. 1 MiB: what a thousand small requests take at the same time.
pub(crate) const HEADROOM_BYTES: usize = 1024 * 1024;

/// What is large: from here on glibc's allocator soon asks the kernel for each piece, and looking for headroom costs little beside it.
const LARGE_BYTES: usize = 64 * 1024;

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
    if buffer.capacity() - buffer.len() >= bytes {
        Ok(())
    } else {
        grow(buffer, bytes)
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

/// Whether so many bytes, and the headroom, could be had now.
pub(crate) fn has_headroom(bytes: usize) -> bool {
    let mut block = Vec::<u8>::new();
    let reserved = block.try_reserve_exact(HEADROOM_BYTES.saturating_add(bytes));
    // Or the compiler would see that nobody uses it, and take it for granted.
    black_box(&mut block);
    reserved.is_ok() && !is_refused()
}

#[cold]
#[inline(never)]
fn grow(buffer: &mut Vec<u8>, bytes: usize) -> Result<(), OutOfMemory> {
    if is_refused() {
        return Err(OutOfMemory);
    }
    let grown = match buffer.capacity() {
        0 => buffer.try_reserve_exact(bytes),
        _ => buffer.try_reserve(bytes),
    };
    grown.map_err(|_| OutOfMemory)?;
    if buffer.capacity() >= LARGE_BYTES && !has_headroom(0) {
        return Err(OutOfMemory);
    }
    Ok(())
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
pub(crate) struct Growing<'b>(pub(crate) &'b mut Vec<u8>);

impl io::Write for Growing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        append(self.0, bytes).map_err(io::Error::from)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
