//! Decompression of a request's content (RFC 9110 §8.4): gzip, and with the feature `compression` br and zstd.
//!
//! It is off until a route turns it on, and then it undoes one coding. What comes out is bounded, also by what has come in,
//! and comes out in pieces, so a bomb costs one piece beyond the bound. Content behind the end of the compressed data is corrupt: readers disagree
//! about its meaning.

use std::borrow::Cow;

#[cfg(feature = "compression")]
use brotli::enc::StandardAlloc;
#[cfg(feature = "compression")]
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};
use bytes::{Buf, Bytes};
use flate2::{Decompress, FlushDecompress, Status};
#[cfg(feature = "compression")]
use zstd::stream::raw::{self, Operation as _};

use crate::error::{Error, HttpError, bad_request};
use crate::memory::{self, OutOfMemory};
use crate::message::{Fields, HeaderValue, header};

/// The size of a piece that comes out: 32 KiB, the window of gzip.
const PIECE_BYTES: usize = 32 * 1024;

/// How much may come out whatever has come in: 16 MiB. A small bomb costs less than counting its bytes is worth, and an
/// empty table of a program's data compresses strongly.
const FREE_BYTES: u64 = 16 * 1024 * 1024;

/// The logarithm of the largest window of gzip: 32 KiB.
const GZIP_WINDOW_BITS: u8 = 15;

/// The logarithm of the largest window of zstd in HTTP: 8 MiB (RFC 9659).
#[cfg(feature = "compression")]
const ZSTD_WINDOW_BITS: u32 = 23;

/// The codings, as a client may list them.
#[cfg(feature = "compression")]
const ACCEPTED: &str = "gzip, br, zstd";
#[cfg(not(feature = "compression"))]
const ACCEPTED: &str = "gzip";

/// A coding of content that can be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Gzip,
    /// Of responses only.
    #[cfg(feature = "client")]
    Deflate,
    #[cfg(feature = "compression")]
    Brotli,
    #[cfg(feature = "compression")]
    Zstd,
}

impl Coding {
    /// The coding of a request's content; `None` without one.
    ///
    /// # Errors
    ///
    /// 415 for several codings, and for one that cannot be undone.
    pub(in crate::app) fn of(fields: Fields<'_>) -> Result<Option<Self>, Error> {
        let mut codings = fields
            .get_all("content-encoding")
            .flat_map(|line| line.split(|&byte| byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|coding| !coding.is_empty());
        let Some(coding) = codings.next() else { return Ok(None) };
        let known = Self::by_name(coding).filter(|_| codings.next().is_none());
        known.map(Some).ok_or_else(|| {
            let message = format!("the content must have at most one coding of {ACCEPTED}");
            unsupported(message, ACCEPTED)
        })
    }

    /// The coding of a response's content, if it can be undone.
    #[cfg(feature = "client")]
    pub(crate) fn of_response(name: &[u8]) -> Option<Self> {
        match name.eq_ignore_ascii_case(b"deflate") {
            true => Some(Self::Deflate),
            false => Self::by_name(name),
        }
    }

    fn by_name(name: &[u8]) -> Option<Self> {
        match name {
            // RFC 9110 §8.4.1.3: `x-gzip` is the same.
            gzip if gzip.eq_ignore_ascii_case(b"gzip") || gzip.eq_ignore_ascii_case(b"x-gzip") => Some(Self::Gzip),
            #[cfg(feature = "compression")]
            br if br.eq_ignore_ascii_case(b"br") => Some(Self::Brotli),
            #[cfg(feature = "compression")]
            zstd if zstd.eq_ignore_ascii_case(b"zstd") => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// Checks that content has no coding, on a route without decompression.
///
/// # Errors
///
/// 415 for any coding.
pub(super) fn refuse_codings(fields: Fields<'_>) -> Result<(), Error> {
    match fields.get("content-encoding") {
        None => Ok(()),
        Some(_) => Err(unsupported("the content must have no Content-Encoding", "identity")),
    }
}

/// A 415 that names the codings which a client may send (RFC 9110 §12.5.3).
fn unsupported(message: impl Into<Cow<'static, str>>, accepted: &'static str) -> Error {
    HttpError::new(415)
        .with_message(message)
        .with_header(header::ACCEPT_ENCODING, HeaderValue::from_static(accepted))
        .into()
}

/// Undoes the coding of one content.
pub(crate) struct Decoder {
    coding: Coding,
    /// Made at the first input, because a handler may read no content.
    engine: Option<Engine>,
    input: Bytes,
    /// The room of a piece, while the input gives none.
    spare: Vec<u8>,
    read_bytes: u64,
    decoded_bytes: u64,
    bounds: Bounds,
    has_ended: bool,
}

/// The bounds on what comes out of a decoder.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Most bytes in all.
    pub(crate) bytes_max: u64,
    /// Most bytes for each byte that has come in, beyond [`FREE_BYTES`].
    pub(crate) ratio_max: u32,
}

/// The state of a library.
enum Engine {
    /// Of gzip or deflate.
    Inflate(Decompress),
    #[cfg(feature = "compression")]
    Brotli(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>),
    #[cfg(feature = "compression")]
    Zstd(raw::Decoder<'static>),
}

/// What one call of an engine did.
struct Progress {
    read_bytes: usize,
    written_bytes: usize,
    has_ended: bool,
}

/// Why content could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// It breaks the format of its coding (400).
    Corrupt,
    /// It ends too early (400).
    Cut,
    /// It decodes to more than the limit (413).
    TooLarge,
    /// It decodes to more than its own size allows (413).
    TooDense,
    /// Memory is short (503).
    OutOfMemory,
}

impl Decoder {
    pub(crate) fn new(coding: Coding, bounds: Bounds) -> Self {
        Self {
            coding,
            engine: None,
            input: Bytes::new(),
            spare: Vec::new(),
            read_bytes: 0,
            decoded_bytes: 0,
            bounds,
            has_ended: false,
        }
    }

    /// Takes coded content, once [`next_piece`](Self::next_piece) has returned `None`.
    pub(crate) fn receive(&mut self, input: Bytes) {
        self.input = input;
    }

    /// Decodes the next piece; `None` once it needs more input.
    pub(crate) fn next_piece(&mut self) -> Result<Option<Bytes>, DecodeError> {
        if self.has_ended {
            return if self.input.is_empty() {
                Ok(None)
            } else {
                Err(DecodeError::Corrupt)
            };
        }
        // One byte beyond the limit tells that there is more.
        let left = self.bounds.bytes_max.saturating_sub(self.decoded_bytes);
        let left = left.saturating_add(1);
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
        let mut output = core::mem::take(&mut self.spare);
        if output.capacity() < room {
            memory::make_room(&mut output, room)?;
        }
        output.resize(room, 0);
        let written_bytes = self.fill(&mut output)?;
        if written_bytes == 0 {
            self.spare = output;
            return Ok(None);
        }
        self.decoded_bytes = self.decoded_bytes.saturating_add(written_bytes as u64);
        if self.decoded_bytes > self.bounds.bytes_max {
            return Err(DecodeError::TooLarge);
        }
        let allowed_bytes = self.read_bytes.saturating_mul(self.bounds.ratio_max.into());
        if self.decoded_bytes > allowed_bytes.max(FREE_BYTES) {
            return Err(DecodeError::TooDense);
        }
        output.truncate(written_bytes);
        Ok(Some(Bytes::from(output)))
    }

    /// Decodes until some output is there; 0 once it needs more input.
    fn fill(&mut self, output: &mut [u8]) -> Result<usize, DecodeError> {
        loop {
            let engine = match &mut self.engine {
                Some(engine) => engine,
                // A cut at its very start needs no engine.
                None if self.input.is_empty() => return Ok(0),
                empty => empty.insert(Engine::new(self.coding, &self.input)?),
            };
            let progress = engine.run(&self.input, output)?;
            self.input.advance(progress.read_bytes);
            self.read_bytes = self.read_bytes.saturating_add(progress.read_bytes as u64);
            self.has_ended = progress.has_ended;
            if progress.written_bytes > 0 {
                return Ok(progress.written_bytes);
            }
            if self.has_ended && !self.input.is_empty() {
                return Err(DecodeError::Corrupt);
            }
            if self.input.is_empty() {
                return Ok(0);
            }
            if progress.read_bytes == 0 {
                return Err(DecodeError::Corrupt);
            }
        }
    }

    /// Checks that the coded content is complete, at the end of the content.
    pub(crate) fn finish(&self) -> Result<(), DecodeError> {
        if self.has_ended { Ok(()) } else { Err(DecodeError::Cut) }
    }
}

impl Engine {
    /// Makes the engine of a coding; `input` is the beginning of the content.
    #[cfg_attr(
        not(feature = "client"),
        allow(unused_variables, reason = "only deflate has two forms")
    )]
    fn new(coding: Coding, input: &[u8]) -> Result<Self, DecodeError> {
        // What the libraries allocate at once; windows come with the content that fills them.
        memory::reserve(64 * 1024)?;
        match coding {
            Coding::Gzip => Ok(Self::Inflate(Decompress::new_gzip(GZIP_WINDOW_BITS))),
            // RFC 9110 §8.4.1.2: zlib's format; some servers send it without its header.
            #[cfg(feature = "client")]
            Coding::Deflate => {
                let has_header = input.first().is_none_or(|first| first & 0x8f == 0x08);
                Ok(Self::Inflate(Decompress::new(has_header)))
            }
            #[cfg(feature = "compression")]
            Coding::Brotli => {
                let memory = StandardAlloc::default;
                Ok(Self::Brotli(Box::new(BrotliState::new(memory(), memory(), memory()))))
            }
            #[cfg(feature = "compression")]
            Coding::Zstd => {
                let mut decoder = raw::Decoder::new().map_err(|_| DecodeError::OutOfMemory)?;
                let window = raw::DParameter::WindowLogMax(ZSTD_WINDOW_BITS);
                decoder.set_parameter(window).map_err(|_| DecodeError::OutOfMemory)?;
                Ok(Self::Zstd(decoder))
            }
        }
    }

    /// Decodes from `input` into `output`, as far as either goes.
    fn run(&mut self, input: &[u8], output: &mut [u8]) -> Result<Progress, DecodeError> {
        match self {
            Self::Inflate(engine) => {
                let before = (engine.total_in(), engine.total_out());
                let status = engine
                    .decompress(input, output, FlushDecompress::None)
                    .map_err(|_| DecodeError::Corrupt)?;
                Ok(Progress {
                    read_bytes: difference(engine.total_in(), before.0),
                    written_bytes: difference(engine.total_out(), before.1),
                    has_ended: status == Status::StreamEnd,
                })
            }
            #[cfg(feature = "compression")]
            Self::Brotli(engine) => {
                let (mut unread_bytes, mut read_bytes) = (input.len(), 0);
                let (mut room, mut written_bytes) = (output.len(), 0);
                let result = BrotliDecompressStream(
                    &mut unread_bytes,
                    &mut read_bytes,
                    input,
                    &mut room,
                    &mut written_bytes,
                    output,
                    &mut 0,
                    engine,
                );
                match result {
                    BrotliResult::ResultFailure => Err(DecodeError::Corrupt),
                    BrotliResult::ResultSuccess | BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {
                        Ok(Progress {
                            read_bytes,
                            written_bytes,
                            has_ended: matches!(result, BrotliResult::ResultSuccess),
                        })
                    }
                }
            }
            #[cfg(feature = "compression")]
            Self::Zstd(engine) => {
                let status = engine.run_on_buffers(input, output).map_err(|_| DecodeError::Corrupt)?;
                Ok(Progress {
                    read_bytes: status.bytes_read,
                    written_bytes: status.bytes_written,
                    // The engine expects nothing more of this frame.
                    has_ended: status.remaining == 0,
                })
            }
        }
    }
}

fn difference(after: u64, before: u64) -> usize {
    usize::try_from(after.saturating_sub(before)).unwrap_or(0)
}

impl From<OutOfMemory> for DecodeError {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Corrupt => bad_request("could not decompress the content: it is corrupt"),
            DecodeError::Cut => bad_request("could not decompress the content: it ends too early"),
            DecodeError::TooLarge => HttpError::new(413)
                .with_message("the decompressed content is too large")
                .into(),
            DecodeError::TooDense => HttpError::new(413)
                .with_message("the content is compressed too strongly")
                .into(),
            DecodeError::OutOfMemory => OutOfMemory.into(),
        }
    }
}

impl core::fmt::Debug for Decoder {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter
            .debug_struct("Decoder")
            .field("coding", &self.coding)
            .field("decoded_bytes", &self.decoded_bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Bounds, Bytes, Coding, DecodeError, Decoder, FREE_BYTES};
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::io::Write as _;

    /// More than one piece.
    const LENGTH: usize = 40_000;

    fn text() -> Vec<u8> {
        (0..)
            .flat_map(|number: u32| number.to_string().into_bytes())
            .take(LENGTH)
            .collect()
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    /// The content in every coding of this build.
    fn coded(content: &[u8]) -> Vec<(Coding, Vec<u8>)> {
        coded_at(9, content)
    }

    /// The same at a level of br and zstd.
    #[cfg_attr(
        not(feature = "compression"),
        expect(unused_variables, reason = "gzip has one level here")
    )]
    fn coded_at(level: u8, content: &[u8]) -> Vec<(Coding, Vec<u8>)> {
        let mut all = vec![(Coding::Gzip, gzip(content))];
        #[cfg(feature = "compression")]
        {
            let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, level.into(), 18);
            encoder.write_all(content).unwrap();
            all.push((Coding::Brotli, encoder.into_inner()));
            all.push((Coding::Zstd, zstd::encode_all(content, level.into()).unwrap()));
        }
        all
    }

    /// Decodes pieces to the end; nothing that comes out exceeds the limit.
    fn decode<'p>(
        coding: Coding,
        bytes_max: usize,
        pieces: impl IntoIterator<Item = &'p [u8]>,
    ) -> Result<Vec<u8>, DecodeError> {
        let bounds = Bounds {
            bytes_max: bytes_max as u64,
            ratio_max: 1,
        };
        let mut decoder = Decoder::new(coding, bounds);
        let mut decoded = Vec::new();
        for piece in pieces {
            decoder.receive(Bytes::copy_from_slice(piece));
            while let Some(piece) = decoder.next_piece()? {
                assert!(!piece.is_empty());
                decoded.extend_from_slice(&piece);
                assert!(decoded.len() <= bytes_max);
            }
        }
        decoder.finish().map(|()| decoded)
    }

    #[test]
    fn content_is_decoded_whole_byte_by_byte_and_at_every_split() {
        for (coding, content) in coded(&text()) {
            assert_eq!(decode(coding, LENGTH, [&content[..]]), Ok(text()), "{coding:?}");
            assert_eq!(decode(coding, LENGTH, content.chunks(1)), Ok(text()), "{coding:?}");
        }
        let short = &text()[..60];
        for (coding, content) in coded(short) {
            for at in 0..=content.len() {
                let (first, second) = content.split_at(at);
                assert_eq!(
                    decode(coding, 60, [first, second]),
                    Ok(short.to_vec()),
                    "{coding:?} {at}"
                );
                if at < content.len() {
                    assert_eq!(decode(coding, 60, [first]), Err(DecodeError::Cut), "{coding:?} {at}");
                }
            }
        }
    }

    #[test]
    fn what_exceeds_the_limit_or_follows_the_end_is_an_error() {
        for (coding, content) in coded(&text()) {
            assert_eq!(
                decode(coding, LENGTH - 1, [&content[..]]),
                Err(DecodeError::TooLarge),
                "{coding:?}"
            );
            assert_eq!(
                decode(coding, 0, content.chunks(7)),
                Err(DecodeError::TooLarge),
                "{coding:?}"
            );
            for more in [&b"x"[..], &content] {
                assert_eq!(
                    decode(coding, LENGTH, [&content[..], more]),
                    Err(DecodeError::Corrupt),
                    "{coding:?}"
                );
            }
        }
        for (coding, content) in coded(b"") {
            assert_eq!(decode(coding, 0, [&content[..]]), Ok(Vec::new()), "{coding:?}");
        }
    }

    #[test]
    fn content_that_is_too_dense_is_an_error_beyond_what_is_free() {
        let bytes = usize::try_from(FREE_BYTES).unwrap() + 1;
        for (coding, content) in coded_at(1, &vec![0; bytes]) {
            let ratio = u32::try_from(bytes / content.len()).unwrap();
            for (ratio_max, bytes_max, expected) in [
                (ratio / 2, u64::MAX, Some(DecodeError::TooDense)),
                (ratio / 2, FREE_BYTES, Some(DecodeError::TooLarge)),
                (ratio * 2, u64::MAX, None),
            ] {
                let mut decoder = Decoder::new(coding, Bounds { bytes_max, ratio_max });
                decoder.receive(Bytes::copy_from_slice(&content));
                let failed = std::iter::from_fn(|| decoder.next_piece().transpose()).find_map(Result::err);
                assert_eq!(failed, expected, "{coding:?} {ratio_max}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn damaged_content_gives_the_same_however_it_is_cut(
            content in vec(0..4_u8, 0..200),
            damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
            cut in any::<prop::sample::Index>(),
        ) {
            for (coding, mut bytes) in coded(&content) {
                for (place, byte) in &damage {
                    let place = place.index(bytes.len());
                    bytes[place] = *byte;
                }
                let (first, second) = bytes.split_at(cut.index(bytes.len() + 1));
                let whole = decode(coding, 1000, [&bytes[..]]);
                let split = decode(coding, 1000, [first, second]);
                prop_assert_eq!(split.as_ref().ok(), whole.as_ref().ok(), "{:?}", coding);
            }
        }
    }
}
