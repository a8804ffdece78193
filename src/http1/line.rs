//! The search for the end of a line that may still be arriving; it reads each byte once.
//!
//! A complete and an incomplete line are reported in the same shape. So a length limit is one comparison, and works the
//! same for a request that arrives whole or byte by byte.

use memchr::memchr;

/// How far the current line has been searched for its end.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LineScan {
    /// Bytes of the line known to contain no LF; at most as many as the caller presented last.
    scanned: usize,
}

/// A line, complete or incomplete.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'b> {
    /// The line without its end, and without a final CR that may be half of it.
    pub(super) content: &'b [u8],
    pub(super) ending: LineEnding,
}

/// How a line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineEnding {
    /// It has not ended yet.
    Open,
    CrLf,
    /// With a lone LF, which RFC 9112 §2.2 allows a recipient to accept; callers reject it.
    LineFeed,
}

impl LineScan {
    /// Returns whether nothing of the line has been seen.
    pub(super) fn is_fresh(&self) -> bool {
        self.scanned == 0
    }

    /// Searches the line at the start of `bytes` for its end. Until the line has ended, present the same bytes again in
    /// front of more; the search continues where it stopped.
    pub(super) fn next<'b>(&mut self, bytes: &'b [u8]) -> Line<'b> {
        let unseen = bytes.get(self.scanned..).unwrap_or_default();
        let Some(found) = memchr(b'\n', unseen) else {
            self.scanned = bytes.len();
            return Line {
                content: bytes.strip_suffix(b"\r").unwrap_or(bytes),
                ending: LineEnding::Open,
            };
        };
        let line = bytes.get(..self.scanned + found).unwrap_or_default();
        self.scanned = 0;
        match line.strip_suffix(b"\r") {
            Some(content) => Line {
                content,
                ending: LineEnding::CrLf,
            },
            None => Line {
                content: line,
                ending: LineEnding::LineFeed,
            },
        }
    }
}
