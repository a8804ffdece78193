//! A send in flight. The slot owns it until its completion, so that dropping the future that asked for the send cannot
//! free memory the kernel still reads.

use std::time::Instant;

use bytes::Bytes;

use super::memory::Fixed;
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
}

/// The memory that the kernel is asked to send.
pub(super) enum SendMemory {
    Bytes { start: *const u8, length: u32 },
    Message(*const libc::msghdr),
}

impl InFlight {
    pub(super) fn new(buffer: SendBuffer) -> Self {
        Self { buffer, details: None }
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
            SendBuffer::Shared(bytes) => Self::bytes(bytes, sent),
            SendBuffer::Vectored(parts) => {
                let details = self.details.get_or_insert_with(SendDetails::empty);
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

#[cfg(test)]
mod tests {
    use super::{InFlight, SendBuffer, SendMemory};
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
    fn more_parts_than_one_call_takes_need_several_calls() {
        let parts = vec![Bytes::from_static(b"x"); super::SEND_PARTS_MAX + 5];
        let mut in_flight = InFlight::new(SendBuffer::from(parts));
        assert_eq!(lengths(&mut in_flight).len(), super::SEND_PARTS_MAX);
        assert!(!in_flight.advance(super::SEND_PARTS_MAX));
        assert_eq!(lengths(&mut in_flight).len(), 5);
    }
}
