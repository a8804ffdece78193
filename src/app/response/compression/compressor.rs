//! The compressors of the three libraries behind one interface: bytes come in, compressed bytes are appended.

use flate2::{Compress, Compression as Level, FlushCompress, Status};

use crate::app::response::accept_encoding::ContentCoding;
use crate::error::{Error, Result};
use crate::memory;

/// The logarithm of gzip's window: 32 KiB, the largest.
const GZIP_WINDOW_BITS: u8 = 15;

/// The logarithm of the windows of br and zstd: 128 KiB. Pages are rarely longer, and larger windows take more memory.
#[cfg(feature = "compression")]
const WINDOW_BITS: u32 = 17;

/// Room that is made for compressed bytes at least: 4 KiB.
const ROOM_BYTES: usize = 4 * 1024;

/// What a compressor makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) coding: ContentCoding,
    pub(super) level: u32,
}

/// What follows the bytes that a compressor is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Boundary {
    /// More content: the compressor may hold bytes back.
    Content,
    /// A flush: the client must be able to decode everything so far.
    Flush,
    /// The end of the content.
    End,
}

/// A compressor of one of the libraries.
pub(super) enum Compressor {
    Gzip(Compress),
    /// `None` once the content has ended: the library cannot reuse a compressor.
    #[cfg(feature = "compression")]
    Brotli(Option<Box<brotli::CompressorWriter<Vec<u8>>>>),
    #[cfg(feature = "compression")]
    Zstd(zstd::stream::raw::Encoder<'static>),
}

/// Whether Squall was built with the compressor of a coding.
pub(super) const fn is_available(coding: ContentCoding) -> bool {
    matches!(coding, ContentCoding::Gzip) || cfg!(feature = "compression")
}

/// The highest level of br and zstd. Above it, a page takes milliseconds and a compressor tens of MiB.
#[cfg(feature = "compression")]
const FAST_LEVEL_MAX: u32 = 6;

/// The memory of a compressor, measured with content of 1 MiB and rounded up.
pub(super) const fn memory_bytes(kind: Kind) -> usize {
    const KIB: usize = 1024;
    match (kind.coding, kind.level) {
        (ContentCoding::Gzip, _) => 384 * KIB,
        (ContentCoding::Brotli, 0 | 1) => 768 * KIB,
        (ContentCoding::Brotli, 2 | 3) => 1280 * KIB,
        (ContentCoding::Brotli, _) => 3840 * KIB,
        (ContentCoding::Zstd, 0..=3) => 1664 * KIB,
        (ContentCoding::Zstd, _) => 3456 * KIB,
    }
}

impl Compressor {
    /// Makes a compressor; `None` for a coding that is not available.
    pub(super) fn new(kind: Kind) -> Option<Self> {
        match kind.coding {
            ContentCoding::Gzip => {
                let level = Level::new(kind.level.clamp(1, 9));
                Some(Self::Gzip(Compress::new_gzip(level, GZIP_WINDOW_BITS)))
            }
            #[cfg(feature = "compression")]
            ContentCoding::Brotli => {
                let writer =
                    brotli::CompressorWriter::new(Vec::new(), ROOM_BYTES, kind.level.min(FAST_LEVEL_MAX), WINDOW_BITS);
                Some(Self::Brotli(Some(Box::new(writer))))
            }
            #[cfg(feature = "compression")]
            ContentCoding::Zstd => {
                let level = i32::try_from(kind.level.clamp(1, FAST_LEVEL_MAX)).ok()?;
                let mut encoder = zstd::stream::raw::Encoder::new(level).ok()?;
                let window = zstd::stream::raw::CParameter::WindowLog(WINDOW_BITS);
                encoder.set_parameter(window).ok()?;
                Some(Self::Zstd(encoder))
            }
            #[cfg(not(feature = "compression"))]
            ContentCoding::Brotli | ContentCoding::Zstd => None,
        }
    }

    /// Begins new content, of a length that may be known; returns whether it can.
    #[cfg_attr(
        not(feature = "compression"),
        expect(unused_variables, reason = "only zstd asks for the length")
    )]
    pub(super) fn begin(&mut self, length: Option<usize>) -> bool {
        match self {
            Self::Gzip(compress) => {
                compress.reset();
                true
            }
            #[cfg(feature = "compression")]
            Self::Brotli(writer) => writer.is_some(),
            #[cfg(feature = "compression")]
            Self::Zstd(encoder) => {
                use zstd::stream::raw::Operation as _;
                // A known length lets zstd choose smaller tables for a small page.
                let length = length.map(|length| length as u64);
                encoder.reinit().is_ok() && encoder.set_pledged_src_size(length).is_ok()
            }
        }
    }

    /// Whether it can begin new content after the end of this.
    pub(super) fn is_reusable(&self) -> bool {
        match self {
            Self::Gzip(_) => true,
            #[cfg(feature = "compression")]
            Self::Brotli(writer) => writer.is_some(),
            #[cfg(feature = "compression")]
            Self::Zstd(_) => true,
        }
    }

    /// Compresses bytes of the content and appends what comes out.
    ///
    /// # Errors
    ///
    /// 503 if memory is short; 500 if the library fails.
    pub(super) fn compress(&mut self, content: &[u8], boundary: Boundary, output: &mut Vec<u8>) -> Result {
        match self {
            Self::Gzip(compress) => gzip(compress, content, boundary, output),
            #[cfg(feature = "compression")]
            Self::Brotli(writer) => brotli(writer, content, boundary, output),
            #[cfg(feature = "compression")]
            Self::Zstd(encoder) => zstd(encoder, content, boundary, output),
        }
    }
}

fn gzip(compress: &mut Compress, content: &[u8], boundary: Boundary, output: &mut Vec<u8>) -> Result {
    let flush = match boundary {
        Boundary::Content => FlushCompress::None,
        Boundary::Flush => FlushCompress::Sync,
        Boundary::End => FlushCompress::Finish,
    };
    let mut rest = content;
    loop {
        memory::make_room(output, ROOM_BYTES)?;
        let before = compress.total_in();
        let status = compress
            .compress_vec(rest, output, flush)
            .map_err(|error| failed("gzip", &error))?;
        let taken = usize::try_from(compress.total_in() - before).unwrap_or_default();
        rest = rest.get(taken..).unwrap_or_default();
        // Room that is left means that everything has come out.
        let is_done = rest.is_empty() && output.len() < output.capacity();
        if status == Status::StreamEnd || is_done && boundary != Boundary::End {
            return Ok(());
        }
    }
}

#[cfg(feature = "compression")]
fn brotli(
    writer: &mut Option<Box<brotli::CompressorWriter<Vec<u8>>>>,
    content: &[u8],
    boundary: Boundary,
    output: &mut Vec<u8>,
) -> Result {
    use std::io::Write as _;

    let Some(running) = writer else {
        return Err(Error::new("could not compress with br: the content has ended"));
    };
    running.write_all(content).map_err(|error| failed("br", &error))?;
    if boundary == Boundary::Flush {
        running.flush().map_err(|error| failed("br", &error))?;
    }
    let made = match (boundary, writer.take()) {
        (Boundary::End, Some(running)) => running.into_inner(),
        (_, Some(mut running)) => {
            let made = core::mem::take(running.get_mut());
            *writer = Some(running);
            made
        }
        (_, None) => Vec::new(),
    };
    // Most pieces make a few KiB, which the library has allocated already.
    memory::append(output, &made)?;
    Ok(())
}

#[cfg(feature = "compression")]
fn zstd(
    encoder: &mut zstd::stream::raw::Encoder<'_>,
    content: &[u8],
    boundary: Boundary,
    output: &mut Vec<u8>,
) -> Result {
    use zstd::stream::raw::{InBuffer, Operation as _, OutBuffer};

    let mut input = InBuffer::around(content);
    while input.pos() < content.len() {
        memory::make_room(output, ROOM_BYTES)?;
        let written = output.len();
        let mut room = OutBuffer::around_pos(output, written);
        encoder
            .run(&mut input, &mut room)
            .map_err(|error| failed("zstd", &error))?;
    }
    if boundary == Boundary::Content {
        return Ok(());
    }
    loop {
        memory::make_room(output, ROOM_BYTES)?;
        let written = output.len();
        let mut room = OutBuffer::around_pos(output, written);
        let left = match boundary {
            Boundary::End => encoder.finish(&mut room, true),
            Boundary::Flush | Boundary::Content => encoder.flush(&mut room),
        };
        if left.map_err(|error| failed("zstd", &error))? == 0 {
            return Ok(());
        }
    }
}

fn failed(coding: &str, error: &dyn core::error::Error) -> Error {
    Error::new(format!("could not compress with {coding}: {error}"))
}
