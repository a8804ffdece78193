//! A send in flight. The slot owns it until its completion, so that dropping the future that asked for the send cannot
//! free memory the kernel still reads.

use std::os::fd::BorrowedFd;
use std::time::Instant;

use bytes::Bytes;
use rustix::io::Errno;

use super::memory::Fixed;
use crate::net::page_send::{PageSend, takes_no_pages};
use crate::net::send_buffer::{SEND_PARTS_MAX, SendBuffer};

/// A send that the kernel has, or is about to get.
#[derive(Debug)]
pub(super) struct InFlight {
    buffer: SendBuffer,
    /// What only some sends need; most have one part and are taken at once. On the heap, because every stream has room for
    /// a send, and at a fixed address, because the kernel holds that of the header.
    details: Option<Fixed<SendDetails>>,
}

/// The state of a send in several parts, or one that the kernel takes piece by piece.
///
/// Its address is that of its first field, the header, which the kernel reads.
#[derive(Debug)]
#[repr(C)]
struct SendDetails {
    header: libc::msghdr,
    parts: Vec<libc::iovec>,
    sent: usize,
    /// When the kernel last took a part of the buffer.
    advanced: Option<Instant>,
    /// The pages that the kernel takes in place of a copy.
    pages: Option<PageSend>,
}

/// What has become of pages that the socket was given.
pub(super) enum Given {
    /// It has taken everything.
    All,
    /// It takes more later, or takes no pages.
    Some,
}

/// How many bytes of pages are sent with a copy once the socket takes some again. 16 KiB.
///
/// Such a send is how the ring waits for a socket. A poll would end at once, over and over, for a peer that has closed its
/// half.
const COPIED_BYTES_MAX: u32 = 16 * 1024;

/// The memory that the kernel is asked to send.
pub(super) enum SendMemory {
    Bytes { start: *const u8, length: u32 },
    Message(*const libc::msghdr),
}

impl InFlight {
    pub(super) fn new(buffer: SendBuffer) -> Self {
        let details = PageSend::of(&buffer).map(|pages| {
            let mut details = SendDetails::empty();
            details.pages = Some(pages);
            details
        });
        Self { buffer, details }
    }

    /// Returns whether the socket is to take pages in place of a copy, by [`give_pages`](Self::give_pages).
    #[inline]
    pub(super) fn has_pages(&self) -> bool {
        self.details.as_ref().is_some_and(|details| details.pages.is_some())
    }

    /// Gives the socket as much as it takes now; adds the bytes to `sent_bytes`.
    ///
    /// # Errors
    ///
    /// The connection has failed.
    pub(super) fn give_pages(&mut self, socket: BorrowedFd<'_>, sent_bytes: &mut u64) -> Result<Given, Errno> {
        loop {
            let Some(details) = &mut self.details else {
                return Ok(Given::Some);
            };
            let Some(pages) = &details.pages else {
                return Ok(Given::Some);
            };
            match pages.send(socket, &self.buffer, details.sent) {
                Ok(taken) => {
                    *sent_bytes += taken as u64;
                    if self.advance(taken) {
                        return Ok(Given::All);
                    }
                }
                Err(Errno::AGAIN) => return Ok(Given::Some),
                Err(error) if takes_no_pages(error) => {
                    details.pages = None;
                    return Ok(Given::Some);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns how many bytes the kernel has taken.
    fn sent(&self) -> usize {
        self.details.as_ref().map_or(0, |details| details.sent)
    }

    /// Adds the bytes of one completion; returns whether all are sent.
    pub(super) fn advance(&mut self, sent: usize) -> bool {
        let before = self.sent();
        let sent = before + sent;
        let is_all = sent >= self.buffer.len();
        if !is_all && sent > before {
            let details = self.details.get_or_insert_with(SendDetails::empty);
            details.sent = sent;
            // The task is not woken for a part; this date tells it the peer's progress when it looks.
            details.advanced = Some(crate::clock::now());
        }
        is_all
    }

    /// Returns when the kernel last took a part of the buffer.
    pub(super) fn advanced(&self) -> Option<Instant> {
        self.details.as_ref().and_then(|details| details.advanced)
    }

    /// Returns the memory of the remaining bytes. Its addresses stay valid until this value is dropped or asked again.
    pub(super) fn memory(&mut self) -> SendMemory {
        let sent = self.sent();
        match &self.buffer {
            SendBuffer::Owned(bytes) => Self::bytes(bytes, sent),
            SendBuffer::Shared(bytes) if self.has_pages() => Self::limited(bytes.get(sent..).unwrap_or_default()),
            SendBuffer::Shared(bytes) => Self::bytes(bytes, sent),
            SendBuffer::Vectored(parts) => {
                let details = self.details.get_or_insert_with(SendDetails::empty);
                if details.pages.is_some() {
                    return Self::limited(part_at(parts, sent));
                }
                details.point_at(parts, sent);
                // The header is the first field.
                SendMemory::Message(details.as_ptr().cast_const().cast())
            }
        }
    }

    fn bytes(bytes: &[u8], sent: usize) -> SendMemory {
        let rest = bytes.get(sent..).unwrap_or_default();
        // A length beyond 32 bits is sent by further requests.
        SendMemory::Bytes {
            start: rest.as_ptr(),
            length: u32::try_from(rest.len()).unwrap_or(u32::MAX),
        }
    }

    /// The first bytes of the rest of a send whose pages the socket did not take.
    fn limited(rest: &[u8]) -> SendMemory {
        match Self::bytes(rest, 0) {
            SendMemory::Bytes { start, length } => SendMemory::Bytes {
                start,
                length: length.min(COPIED_BYTES_MAX),
            },
            message @ SendMemory::Message(_) => message,
        }
    }

    /// Returns the buffer for the pool, if it is owned.
    pub(super) fn into_owned(self) -> Option<Vec<u8>> {
        match self.buffer {
            SendBuffer::Owned(bytes) => Some(bytes),
            SendBuffer::Shared(_) | SendBuffer::Vectored(_) => None,
        }
    }
}

impl SendDetails {
    fn empty() -> Fixed<Self> {
        let header = libc::msghdr {
            msg_name: std::ptr::null_mut(),
            msg_namelen: 0,
            msg_iov: std::ptr::null_mut(),
            msg_iovlen: 0,
            msg_control: std::ptr::null_mut(),
            msg_controllen: 0,
            msg_flags: 0,
        };
        Fixed::new(Self {
            sent: 0,
            advanced: None,
            pages: None,
            header,
            parts: Vec::new(),
        })
    }

    /// Points the header at the bytes of `parts` after the first `skip`.
    fn point_at(&mut self, parts: &[Bytes], mut skip: usize) {
        self.parts.clear();
        for part in parts {
            if skip >= part.len() {
                skip -= part.len();
                continue;
            }
            let rest = part.get(skip..).unwrap_or_default();
            skip = 0;
            self.parts.push(libc::iovec {
                iov_base: rest.as_ptr().cast_mut().cast(),
                iov_len: rest.len(),
            });
            if self.parts.len() == SEND_PARTS_MAX {
                break;
            }
        }
        self.header.msg_iov = self.parts.as_mut_ptr();
        self.header.msg_iovlen = self.parts.len() as _;
    }
}

/// Returns the rest of the part that the byte after the first `skip` is in.
fn part_at(parts: &[Bytes], mut skip: usize) -> &[u8] {
    for part in parts {
        if skip < part.len() {
            return part.get(skip..).unwrap_or_default();
        }
        skip -= part.len();
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::{InFlight, SendBuffer, SendMemory, part_at};
    use bytes::Bytes;

    fn lengths(in_flight: &mut InFlight) -> Vec<usize> {
        match in_flight.memory() {
            SendMemory::Bytes { length, .. } => vec![length as usize],
            SendMemory::Message(_) => in_flight
                .details
                .as_ref()
                .unwrap()
                .parts
                .iter()
                .map(|part| part.iov_len)
                .collect(),
        }
    }

    #[test]
    fn a_short_send_continues_where_it_ended() {
        let mut in_flight = InFlight::new(SendBuffer::from(b"abcdef".to_vec()));
        assert_eq!(lengths(&mut in_flight), [6]);
        assert!(!in_flight.advance(4));
        assert_eq!(lengths(&mut in_flight), [2]);
        assert!(in_flight.advance(2));
        assert_eq!(in_flight.into_owned().unwrap(), b"abcdef");
    }

    #[test]
    fn a_short_vectored_send_skips_whole_parts_and_cuts_one() {
        let parts = vec![
            Bytes::from_static(b"ab"),
            Bytes::new(),
            Bytes::from_static(b"cdef"),
            Bytes::from_static(b"g"),
        ];
        let mut in_flight = InFlight::new(SendBuffer::from(parts));
        assert_eq!(lengths(&mut in_flight), [2, 4, 1]);
        assert!(!in_flight.advance(3));
        assert_eq!(lengths(&mut in_flight), [3, 1]);
        assert!(!in_flight.advance(3));
        assert_eq!(lengths(&mut in_flight), [1]);
        assert!(in_flight.advance(1));
    }

    #[test]
    fn the_part_at_a_byte_is_the_rest_of_its_part() {
        let parts = [Bytes::from_static(b"ab"), Bytes::new(), Bytes::from_static(b"cdef")];
        let found: Vec<&[u8]> = (0..7).map(|skip| part_at(&parts, skip)).collect();
        assert_eq!(found, [&b"ab"[..], b"b", b"cdef", b"def", b"ef", b"f", b""]);
    }

    #[test]
    fn more_parts_than_one_call_takes_need_several_calls() {
        let parts = vec![Bytes::from_static(b"x"); super::SEND_PARTS_MAX + 5];
        let mut in_flight = InFlight::new(SendBuffer::from(parts));
        assert_eq!(lengths(&mut in_flight).len(), super::SEND_PARTS_MAX);
        assert!(!in_flight.advance(super::SEND_PARTS_MAX));
        assert_eq!(lengths(&mut in_flight).len(), 5);
    }
}
