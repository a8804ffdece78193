//! Deflating and inflating (RFC 7692 §7.2, RFC 1951). The shard owns the compressors and lends them for one message at
//! a time, so a connection holds none.
//!
//! Invariant: inflating stops within one piece of [`PIECE_BYTES`] behind the limit. Its cost is proportional to the
//! bytes in and out.

use core::fmt;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::error::ProtocolError;
use super::window::{SlidingWindow, WindowBudget};
use super::window_bits::WindowBits;
use crate::memory;

/// Bytes that are deflated or inflated between two checks of the limit: 16 KiB.
const PIECE_BYTES: usize = 16 * 1024;

/// The end of every flush, which a sender leaves out (RFC 7692 §7.2.1).
const FLUSH_TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// That end, and an empty final block. Only a message that stops between two blocks ends exactly there.
const END: [u8; 6] = [0, 0, 0xff, 0xff, 3, 0];

/// Most final blocks in a message. Each restarts the inflater, at the cost of some kilobytes of input; a usual sender
/// writes one.
const FINAL_BLOCKS_MAX: usize = 16;

/// Default compression level: 1, zlib's fastest. Messages of live feeds are small and gain little from more.
const LEVEL_DEFAULT: u32 = 1;

/// Default memory of a shard for context takeover: 64 MiB, a thousand connections with the largest windows both ways.
const CONTEXT_BYTES_MAX_DEFAULT: usize = 64 * 1024 * 1024;

/// Memory of a compressor, rounded up from about 300 KiB. flate2 allocates infallibly, so the headroom is checked
/// before.
const COMPRESSOR_BYTES: usize = 320 * 1024;

/// Memory of the inflater, rounded up from about 40 KiB.
const INFLATER_BYTES: usize = 48 * 1024;

/// The compressors of a shard, and its memory for context takeover.
pub struct Deflaters {
    level: Compression,
    /// One for each window size, made on first use.
    compressors: [Option<Compress>; (WindowBits::MAX.bits() - WindowBits::MIN.bits() + 1) as usize],
    /// It has the largest window, so it reads every size.
    inflater: Option<Decompress>,
    /// The output of one call.
    piece: Vec<u8>,
    /// The last compressed message.
    compressed: Vec<u8>,
    budget: WindowBudget,
}

impl Deflaters {
    /// Makes the compressors of a shard; the first compressed message allocates them.
    ///
    /// `level` is zlib's, 1 (fast) to 9 (small); larger values count as 9. `context_bytes_max` bounds the memory that
    /// all connections of the shard keep between messages, at most 32 KiB each way. Beyond it, connections negotiate no
    /// context takeover.
    #[must_use]
    pub fn new(level: u32, context_bytes_max: usize) -> Self {
        Self {
            level: Compression::new(level.min(9)),
            compressors: Default::default(),
            inflater: None,
            piece: Vec::new(),
            compressed: Vec::new(),
            budget: WindowBudget::new(context_bytes_max),
        }
    }

    /// Returns the unused bytes of the budget for context takeover.
    #[must_use]
    pub fn context_bytes_left(&self) -> usize {
        self.budget.bytes_left()
    }

    pub(super) fn lend_window(&self, window: WindowBits) -> Option<SlidingWindow> {
        self.budget.lend(window)
    }

    /// Deflates a message, with `window` as its dictionary.
    ///
    /// Returns `None` if the result saves nothing or memory is short; then the window is unchanged.
    pub(super) fn compress(
        &mut self,
        payload: &[u8],
        bits: WindowBits,
        window: Option<&mut SlidingWindow>,
    ) -> Option<&[u8]> {
        let place = usize::from(bits.bits() - WindowBits::MIN.bits());
        // Put back only when it has finished. zlib-rs 0.6.8 cannot reuse one that stopped half-way. A reset drops its
        // pending output, but keeps that output's room taken.
        let mut compressor = self.compressors.get_mut(place)?.take().or_else(|| self.make(bits))?;
        compressor.reset();
        if let Some(window) = &window
            && !window.as_bytes().is_empty()
        {
            compressor.set_dictionary(window.as_bytes()).ok()?;
        }
        self.piece.resize(PIECE_BYTES, 0);
        shrink(&mut self.compressed);
        let mut rest = payload;
        loop {
            let (before_in, before_out) = (compressor.total_in(), compressor.total_out());
            compressor.compress(rest, &mut self.piece, FlushCompress::Sync).ok()?;
            let taken = moved(before_in, compressor.total_in());
            let made = moved(before_out, compressor.total_out());
            rest = rest.get(taken..).unwrap_or_default();
            memory::append(&mut self.compressed, self.piece.get(..made).unwrap_or_default()).ok()?;
            // A piece that is not full means that everything is flushed.
            if made < PIECE_BYTES {
                break;
            }
            if self.compressed.len() >= payload.len() + FLUSH_TAIL.len() {
                return None;
            }
        }
        self.compressors.get_mut(place)?.replace(compressor);
        let compressed = self.compressed.strip_suffix(&FLUSH_TAIL)?;
        if !rest.is_empty() || compressed.len() >= payload.len() {
            return None;
        }
        if let Some(window) = window {
            window.extend(payload).ok()?;
        }
        Some(compressed)
    }

    /// Makes a compressor, if memory suffices.
    fn make(&self, bits: WindowBits) -> Option<Compress> {
        // Raw deflate, without the header of zlib.
        memory::has_headroom(COMPRESSOR_BYTES).then(|| Compress::new_with_window_bits(self.level, false, bits.bits()))
    }

    /// Inflates a message, with `window` as its dictionary.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::MessageTooBig`] as soon as more than `bytes_max` bytes come out;
    /// [`ProtocolError::InvalidDeflate`] for anything but a whole deflated message; [`ProtocolError::OutOfMemory`].
    pub(super) fn inflate(
        &mut self,
        payload: &[u8],
        window: Option<&mut SlidingWindow>,
        bytes_max: usize,
    ) -> Result<Vec<u8>, ProtocolError> {
        let inflater = match &mut self.inflater {
            Some(inflater) => inflater,
            none if memory::has_headroom(INFLATER_BYTES) => none.insert(Decompress::new(false)),
            _ => return Err(ProtocolError::OutOfMemory),
        };
        self.piece.resize(PIECE_BYTES, 0);
        let dictionary = window.as_ref().map_or(&[][..], |window| window.as_bytes());
        begin(inflater, dictionary, &[])?;
        let mut inflation = Inflation {
            inflater,
            piece: &mut self.piece,
            inflated: Vec::new(),
            bytes_max,
        };
        let mut rest = payload;
        let mut final_blocks = 0;
        // After a final block the message ends, or continues with a new stream.
        while inflation.run(&mut rest)? {
            if rest.is_empty() {
                return inflation.finish(window);
            }
            final_blocks += 1;
            if final_blocks > FINAL_BLOCKS_MAX {
                return Err(ProtocolError::InvalidDeflate);
            }
            begin(inflation.inflater, dictionary, &inflation.inflated)?;
        }
        // The sender left the tail out. A message that stops inside a block fails here.
        let mut end = &END[..];
        if !inflation.run(&mut end)? || !end.is_empty() {
            return Err(ProtocolError::InvalidDeflate);
        }
        inflation.finish(window)
    }
}

impl Default for Deflaters {
    /// Returns level 1 and 64 MiB for context takeover.
    fn default() -> Self {
        Self::new(LEVEL_DEFAULT, CONTEXT_BYTES_MAX_DEFAULT)
    }
}

impl fmt::Debug for Deflaters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Deflaters")
            .field("level", &self.level)
            .field("context_bytes_left", &self.budget.bytes_left())
            .finish_non_exhaustive()
    }
}

/// One message in the inflater.
struct Inflation<'d> {
    inflater: &'d mut Decompress,
    piece: &'d mut [u8],
    inflated: Vec<u8>,
    bytes_max: usize,
}

impl Inflation<'_> {
    /// Inflates `input` up to the end of a stream; returns whether there was one.
    fn run(&mut self, input: &mut &[u8]) -> Result<bool, ProtocolError> {
        loop {
            let (before_in, before_out) = (self.inflater.total_in(), self.inflater.total_out());
            let status = self
                .inflater
                .decompress(input, self.piece, FlushDecompress::None)
                .map_err(|_| ProtocolError::InvalidDeflate)?;
            let taken = moved(before_in, self.inflater.total_in());
            let made = moved(before_out, self.inflater.total_out());
            *input = input.get(taken..).unwrap_or_default();
            if self.inflated.len() + made > self.bytes_max {
                return Err(ProtocolError::MessageTooBig);
            }
            memory::append(&mut self.inflated, self.piece.get(..made).unwrap_or_default())?;
            if status == Status::StreamEnd {
                return Ok(true);
            }
            // A piece that is not full means that the input is used up.
            if made < self.piece.len() && input.is_empty() {
                return Ok(false);
            }
            if taken == 0 && made == 0 {
                return Err(ProtocolError::InvalidDeflate);
            }
        }
    }

    fn finish(self, window: Option<&mut SlidingWindow>) -> Result<Vec<u8>, ProtocolError> {
        if let Some(window) = window {
            window.extend(&self.inflated)?;
        }
        Ok(self.inflated)
    }
}

/// Restarts the inflater, with the last bytes of `before` and `after` as its dictionary.
fn begin(inflater: &mut Decompress, before: &[u8], after: &[u8]) -> Result<(), ProtocolError> {
    inflater.reset(false);
    let window_bytes = WindowBits::MAX.bytes();
    let after = after
        .get(after.len().saturating_sub(window_bytes)..)
        .unwrap_or_default();
    let kept = window_bytes - after.len();
    let before = before.get(before.len().saturating_sub(kept)..).unwrap_or_default();
    for part in [before, after] {
        if !part.is_empty() {
            inflater
                .set_dictionary(part)
                .map_err(|_| ProtocolError::InvalidDeflate)?;
        }
    }
    Ok(())
}

/// Clears a reused buffer, and frees the room that a large message took.
fn shrink(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.shrink_to(4 * PIECE_BYTES);
}

fn moved(before: u64, after: u64) -> usize {
    usize::try_from(after - before).unwrap_or_default()
}
