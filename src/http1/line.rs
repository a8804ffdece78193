//! Finding the end of a line that may still be arriving, without looking at any byte twice.
//!
//! A line is reported in the same shape whether it has ended or not, so that a limit on its length is one comparison,
//! made the same way for a request that comes whole and for one that comes a byte at a time.

use memchr::memchr;

/// How far the line at hand has been searched for its end.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LineScan {
    /// Bytes of the line known to hold no LF. At most as many as the caller presented last.
    scanned: usize,
}

/// A line, or what there is of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'b> {
    /// Without the line end; without a last CR, too, that may be half of one.
    pub(super) content: &'b [u8],
    pub(super) ending: LineEnding,
}

/// How a line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineEnding {
    /// Not yet.
    Open,
    CrLf,
    /// With a lone LF, which RFC 9112 §2.2 lets a recipient take for a line end and this one does not.
    LineFeed,
}

impl LineScan {
    /// Whether nothing of the line has been seen.
    pub(super) fn is_fresh(&self) -> bool {
        self.scanned == 0
    }

    /// Looks for the end of the line that `bytes` begins with. Unless the line has ended, the same bytes are presented
    /// again in front of more, and the search goes on where it stopped.
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
