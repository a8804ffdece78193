//! The part of a send whose pages the socket takes from a snapshot, without a copy.
//!
//! `sendfile` waits on a blocking socket, and the sockets of both drivers are blocking ones. So the socket is non-blocking
//! for the length of each call; operations that the kernel already has keep the mode they began with.
//!
//! The limit on unsent bytes is for copies. Pages are shared, however many sockets have them, so a socket may have all of a
//! snapshot at once.

use std::cell::Cell;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::sendfile;
use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::{SendFlags, send};
use socket2::SockRef;

use super::send_buffer::SendBuffer;
use crate::file::pages_of;
use crate::os::snapshot_pages::SnapshotPages;

/// The fewest bytes for which pages are looked for. 64 KiB: below, the copy costs less than the further calls.
const TAKEN_BYTES_MIN: usize = 64 * 1024;

/// For the bytes in front of the pages: more follows, so the kernel sends them with the first pages.
const FLAGS_IN_FRONT: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT).union(SendFlags::MORE);

/// Where the last part of a send lies in a snapshot.
#[derive(Debug)]
pub(crate) struct PageSend {
    pages: Arc<SnapshotPages>,
    /// Where the part begins in the pages.
    offset: u64,
    /// The number of bytes in front of the part.
    in_front: usize,
    length: usize,
    /// The socket's limit on unsent bytes, while it is lifted.
    unsent_max: Cell<Option<u32>>,
}

impl PageSend {
    /// Finds the pages of a send of one or two parts.
    #[inline]
    pub(crate) fn of(buffer: &SendBuffer) -> Option<Self> {
        let (in_front, last) = match buffer {
            SendBuffer::Owned(_) => return None,
            SendBuffer::Shared(bytes) => (0, bytes),
            SendBuffer::Vectored(parts) => match parts.as_slice() {
                [first, last] => (first.len(), last),
                _ => return None,
            },
        };
        if last.len() < TAKEN_BYTES_MIN {
            return None;
        }
        Self::find(in_front, last)
    }

    #[cold]
    fn find(in_front: usize, last: &Bytes) -> Option<Self> {
        let (pages, offset) = pages_of(last)?;
        Some(Self {
            pages,
            offset,
            in_front,
            length: in_front + last.len(),
            unsent_max: Cell::new(None),
        })
    }

    /// Gives the socket as much as it takes now, behind the first `sent` bytes of the same buffer; returns how much that is.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if the socket takes nothing now; otherwise the connection has failed, or the kernel takes no pages for it.
    pub(crate) fn send(&self, socket: BorrowedFd<'_>, buffer: &SendBuffer, sent: usize) -> Result<usize, Errno> {
        let first = match buffer {
            SendBuffer::Vectored(parts) => parts.first().map(AsRef::as_ref).unwrap_or_default(),
            SendBuffer::Shared(_) | SendBuffer::Owned(_) => &[][..],
        };
        if sent == 0 {
            self.lift_limit(socket);
        }
        let mut taken = 0;
        if let Some(rest) = first.get(sent..).filter(|rest| !rest.is_empty()) {
            taken = again(|| send(socket, rest, FLAGS_IN_FRONT))?;
            if taken < rest.len() {
                return Ok(taken);
            }
        }
        ioctl_fionbio(socket, true)?;
        let given = self.give(socket, sent + taken);
        ioctl_fionbio(socket, false)?;
        let is_over = match given {
            Ok(given) => sent + taken + given >= self.length,
            Err(error) => error != Errno::AGAIN,
        };
        if is_over {
            self.restore_limit(socket);
        }
        match given {
            Ok(given) => Ok(taken + given),
            // The bytes in front have gone; the next call reports the error.
            Err(_) if taken > 0 => Ok(taken),
            Err(error) => Err(error),
        }
    }

    /// Lets the socket have all pages. A socket other than TCP has no such limit.
    fn lift_limit(&self, socket: BorrowedFd<'_>) {
        let (socket, length) = (SockRef::from(&socket), u32::try_from(self.length).unwrap_or(u32::MAX));
        let limit = socket.tcp_notsent_lowat().ok().filter(|limit| *limit < length);
        if limit.is_some() && socket.set_tcp_notsent_lowat(length).is_ok() {
            self.unsent_max.set(limit);
        }
    }

    fn restore_limit(&self, socket: BorrowedFd<'_>) {
        if let Some(limit) = self.unsent_max.take() {
            // Fails only if the connection is gone.
            SockRef::from(&socket).set_tcp_notsent_lowat(limit).unwrap_or_default();
        }
    }

    fn give(&self, socket: BorrowedFd<'_>, sent: usize) -> Result<usize, Errno> {
        let mut given = 0;
        while sent + given < self.length {
            let mut offset = self.offset + (sent + given).saturating_sub(self.in_front) as u64;
            let left = self.length - sent - given;
            match again(|| sendfile(socket, self.pages.descriptor(), Some(&mut offset), left)) {
                Ok(0) => return Err(Errno::IO),
                Ok(more) => given += more,
                Err(_) if given > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(given)
    }
}

/// Repeats a call that a signal interrupts.
fn again(mut call: impl FnMut() -> Result<usize, Errno>) -> Result<usize, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            done => return done,
        }
    }
}

/// Returns whether an error of [`PageSend::send`] concerns the pages alone, so that their bytes may be copied.
pub(crate) fn takes_no_pages(error: Errno) -> bool {
    matches!(
        error,
        Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM | Errno::NOMEM
    )
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::file::SnapshotWriter;

    fn content(length: usize) -> Vec<u8> {
        (0..length)
            .map(|number| number.to_le_bytes()[0] ^ number.to_le_bytes()[1])
            .collect()
    }

    fn snapshot(content: &[u8]) -> Bytes {
        let mut writer = SnapshotWriter::new(content.len()).unwrap();
        writer.write(content).unwrap();
        writer.finish().unwrap().bytes()
    }

    #[test]
    fn pages_are_found_behind_one_part_at_most() {
        let pages = snapshot(&content(TAKEN_BYTES_MIN));
        let head = Bytes::from_static(b"head");
        assert!(PageSend::of(&SendBuffer::from(pages.clone())).is_some());
        assert!(PageSend::of(&SendBuffer::from(vec![head.clone(), pages.clone()])).is_some());
        for buffer in [
            SendBuffer::from(vec![head.clone(), head.clone(), pages.clone()]),
            SendBuffer::from(vec![pages.clone(), head]),
            SendBuffer::from(pages.slice(1..)),
            SendBuffer::from(Bytes::from(content(TAKEN_BYTES_MIN))),
            SendBuffer::from(content(TAKEN_BYTES_MIN)),
        ] {
            assert!(PageSend::of(&buffer).is_none(), "{} bytes", buffer.len());
        }
    }

    #[test]
    fn a_send_goes_out_in_order_and_in_pieces_and_never_waits() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let whole = content(3_000_000);
        let pages = snapshot(&whole);
        let part = pages.slice(1000..2_900_000);
        let buffer = SendBuffer::from(vec![Bytes::from_static(b"head"), part.clone()]);
        let page_send = PageSend::of(&buffer).unwrap();
        drop((pages, part));
        let (mut sent, mut received, mut waits) = (0, Vec::new(), 0);
        while sent < buffer.len() {
            match page_send.send(ours.as_fd(), &buffer, sent) {
                Ok(more) => sent += more,
                Err(Errno::AGAIN) => {
                    waits += 1;
                    let mut some = vec![0; 70_001];
                    let count = theirs.read(&mut some).unwrap();
                    received.extend_from_slice(&some[..count]);
                }
                Err(error) => panic!("{error}"),
            }
        }
        drop(ours);
        theirs.read_to_end(&mut received).unwrap();
        assert!(waits > 1);
        assert!(received.strip_prefix(b"head").unwrap() == &whole[1000..2_900_000]);
    }

    #[test]
    fn the_limit_on_unsent_bytes_is_lifted_for_pages_alone() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut theirs, _) = listener.accept().unwrap();
        let limit = || SockRef::from(&ours).tcp_notsent_lowat().unwrap();
        SockRef::from(&ours).set_tcp_notsent_lowat(4096).unwrap();
        let reader = std::thread::spawn(move || theirs.read_to_end(&mut Vec::new()).unwrap());
        let buffer = SendBuffer::from(snapshot(&content(8_000_000)));
        let page_send = PageSend::of(&buffer).unwrap();
        let mut sent = 0;
        while sent < buffer.len() {
            match page_send.send(ours.as_fd(), &buffer, sent) {
                Ok(more) => sent += more,
                Err(Errno::AGAIN) => assert_eq!(limit(), 8_000_000),
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(limit(), 4096);
        drop(ours);
        assert_eq!(reader.join().unwrap(), 8_000_000);
    }

    #[test]
    fn a_peer_that_is_gone_is_an_error() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let buffer = SendBuffer::from(snapshot(&content(100_000)));
        let page_send = PageSend::of(&buffer).unwrap();
        assert_eq!(page_send.send(ours.as_fd(), &buffer, 0), Err(Errno::PIPE));
    }
}
