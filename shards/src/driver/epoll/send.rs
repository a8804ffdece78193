//! A send in progress, and how far it has come.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::time::Instant;

use bytes::Bytes;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};

use crate::net::page_send::{PageSend, takes_no_pages};
use crate::net::send_buffer::{SEND_PARTS_MAX, SendBuffer};

const FLAGS: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);

/// A send that the kernel has not taken whole.
#[derive(Debug)]
pub(super) struct Outgoing {
    buffer: SendBuffer,
    /// The pages that the kernel takes in place of a copy.
    pages: Option<Box<PageSend>>,
    length: usize,
    sent: usize,
    /// When the kernel last took a part of the buffer.
    advanced: Option<Instant>,
}

impl Outgoing {
    pub(super) fn new(buffer: SendBuffer) -> Self {
        let length = buffer.len();
        Self {
            pages: PageSend::of(&buffer).map(Box::new),
            buffer,
            length,
            sent: 0,
            advanced: None,
        }
    }

    /// Gives the kernel as much as it takes now; returns whether all is sent.
    ///
    /// # Errors
    ///
    /// The connection has failed. A full send buffer is not an error.
    pub(super) fn write(&mut self, socket: BorrowedFd<'_>) -> io::Result<bool> {
        let before = self.sent;
        while self.sent < self.length {
            let taken = match (&self.buffer, &self.pages) {
                (buffer, Some(pages)) => pages.send(socket, buffer, self.sent),
                (SendBuffer::Owned(bytes), None) => send(socket, rest(bytes, self.sent), FLAGS),
                (SendBuffer::Shared(bytes), None) => send(socket, rest(bytes, self.sent), FLAGS),
                (SendBuffer::Vectored(parts), None) => {
                    let slices = rest_of_parts(parts, self.sent);
                    sendmsg(socket, &slices, &mut SendAncillaryBuffer::default(), FLAGS)
                }
            };
            match taken {
                Ok(taken) => self.sent += taken,
                Err(Errno::INTR) => {}
                Err(error) if self.pages.is_some() && takes_no_pages(error) => self.pages = None,
                Err(Errno::AGAIN) => {
                    if self.sent > before {
                        self.advanced = Some(crate::clock::now());
                    }
                    return Ok(false);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Returns how many bytes the kernel has taken.
    pub(super) fn sent(&self) -> u64 {
        self.sent as u64
    }

    /// Returns when the kernel last took a part of the buffer, if it has.
    pub(super) fn advanced(&self) -> Option<Instant> {
        self.advanced
    }

    /// Returns the buffer for the pool, if it is owned.
    pub(super) fn into_owned(self) -> Option<Vec<u8>> {
        match self.buffer {
            SendBuffer::Owned(bytes) => Some(bytes),
            SendBuffer::Shared(_) | SendBuffer::Vectored(_) => None,
        }
    }
}

fn rest(bytes: &[u8], sent: usize) -> &[u8] {
    bytes.get(sent..).unwrap_or_default()
}

/// Returns the bytes of `parts` after the first `skip`, at most [`SEND_PARTS_MAX`] parts.
fn rest_of_parts(parts: &[Bytes], mut skip: usize) -> Vec<IoSlice<'_>> {
    let mut slices = Vec::with_capacity(parts.len().min(SEND_PARTS_MAX));
    for part in parts {
        if skip >= part.len() {
            skip -= part.len();
            continue;
        }
        slices.push(IoSlice::new(rest(part, skip)));
        skip = 0;
        if slices.len() == SEND_PARTS_MAX {
            break;
        }
    }
    slices
}

#[cfg(test)]
mod tests {
    use super::{Outgoing, rest_of_parts};
    use crate::net::send_buffer::{SEND_PARTS_MAX, SendBuffer};
    use bytes::Bytes;
    use std::io::Read;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_send_larger_than_the_socket_goes_out_in_order_and_in_pieces() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let whole: Vec<u8> = (0..3_000_000u32).map(|number| number.to_le_bytes()[0]).collect();
        let parts: Vec<Bytes> = whole.chunks(1000).map(Bytes::copy_from_slice).collect();
        assert!(parts.len() > SEND_PARTS_MAX);
        for buffer in [SendBuffer::from(whole.clone()), SendBuffer::from(parts)] {
            let mut outgoing = Outgoing::new(buffer);
            let mut received = Vec::new();
            let mut rounds = 0;
            while !outgoing.write(ours.as_fd()).unwrap() {
                rounds += 1;
                let mut some = vec![0; 70_001];
                let count = theirs.read(&mut some).unwrap();
                received.extend_from_slice(&some[..count]);
            }
            assert!(rounds > 1);
            let already = received.len();
            received.resize(whole.len(), 0);
            theirs.read_exact(&mut received[already..]).unwrap();
            assert!(received == whole);
            assert_eq!(outgoing.sent(), whole.len() as u64);
        }
    }

    #[test]
    fn the_rest_of_parts_skips_whole_ones_and_cuts_one() {
        let parts = [Bytes::from_static(b"ab"), Bytes::new(), Bytes::from_static(b"cdef")];
        let left = |skip| -> Vec<Vec<u8>> { rest_of_parts(&parts, skip).iter().map(|part| part.to_vec()).collect() };
        assert_eq!(left(0), [b"ab".to_vec(), b"cdef".to_vec()]);
        assert_eq!(left(1), [b"b".to_vec(), b"cdef".to_vec()]);
        assert_eq!(left(3), [b"def".to_vec()]);
    }
}
