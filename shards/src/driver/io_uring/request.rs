//! Requests to the kernel. Only this file makes entries of the submission queue.
//!
//! Invariant: while the kernel has a request, the memory that it names stays valid. Requests that name memory of a caller
//! come from `unsafe` functions, so each caller answers for its own memory. The others are safe: they name a descriptor, or
//! the registered buffers, which [`Uring`](super::uring::Uring) keeps until every operation has ended.

use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};

use io_uring::{opcode, squeue, types};

use super::buffers::GROUP;
use super::operation::{Operation, SlotKey, Token};
use super::send::SendMemory;

/// One request, with the token of its completions.
pub(super) struct Request(squeue::Entry);

const SEND_FLAGS: u32 = libc::MSG_NOSIGNAL.unsigned_abs();

impl Request {
    #[inline]
    fn new(entry: squeue::Entry, token: Token) -> Self {
        Self(entry.user_data(token.to_user_data()))
    }

    /// Accepts connections until it is cancelled.
    #[inline]
    pub(super) fn accept(listener: &impl AsRawFd, token: Token) -> Self {
        let entry = opcode::AcceptMulti::new(types::Fd(listener.as_raw_fd())).flags(libc::SOCK_CLOEXEC);
        Self::new(entry.build(), token)
    }

    /// Receives into the ring's registered buffers until it is cancelled.
    #[inline]
    pub(super) fn receive(socket: RawFd, token: Token) -> Self {
        let entry = opcode::RecvMulti::new(types::Fd(socket), GROUP).build();
        #[cfg(test)]
        let entry = super::poll_first::poll_first_if_wanted(entry);
        Self::new(entry, token)
    }

    /// Polls for `events` until it is cancelled.
    #[inline]
    pub(super) fn poll(socket: RawFd, events: u32, token: Token) -> Self {
        Self::new(
            opcode::PollAdd::new(types::Fd(socket), events).multi(true).build(),
            token,
        )
    }

    /// Cancels the operation of another token; the result is ignored.
    pub(super) fn cancel(target: Token) -> Self {
        Self::new(opcode::AsyncCancel::new(target.to_user_data()).build(), IGNORED)
    }

    /// Closes a descriptor, which belongs to the kernel from here on.
    pub(super) fn close(descriptor: OwnedFd, token: Token) -> Self {
        Self::new(opcode::Close::new(types::Fd(descriptor.into_raw_fd())).build(), token)
    }

    /// Receives once into `length` bytes at `start`.
    ///
    /// # Safety
    ///
    /// The bytes stay valid, and are neither read nor written by this process, until the completion.
    pub(super) unsafe fn receive_into(socket: RawFd, start: *mut u8, length: u32, token: Token) -> Self {
        Self::new(opcode::Recv::new(types::Fd(socket), start, length).build(), token)
    }

    /// Sends the bytes at `memory`.
    ///
    /// # Safety
    ///
    /// The bytes, and the header and parts of a message, stay valid and unchanged until the completion.
    #[inline]
    pub(super) unsafe fn send(socket: RawFd, memory: SendMemory, token: Token) -> Self {
        let socket = types::Fd(socket);
        let entry = match memory {
            SendMemory::Bytes { start, length } => opcode::Send::new(socket, start, length)
                .flags(libc::MSG_NOSIGNAL)
                .build(),
            SendMemory::Message(header) => opcode::SendMsg::new(socket, header).flags(SEND_FLAGS).build(),
        };
        Self::new(entry, token)
    }

    /// Connects to the address at `address`.
    ///
    /// # Safety
    ///
    /// The `length` bytes of the address stay valid and unchanged until the completion.
    pub(super) unsafe fn connect(
        socket: RawFd,
        address: *const libc::sockaddr,
        length: libc::socklen_t,
        token: Token,
    ) -> Self {
        Self::new(opcode::Connect::new(types::Fd(socket), address, length).build(), token)
    }

    /// Reads eight bytes into `number`.
    ///
    /// # Safety
    ///
    /// The eight bytes stay valid, and are not read by this process, until the completion.
    pub(super) unsafe fn read_number(descriptor: RawFd, number: *mut u64, token: Token) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "eight bytes")]
        let length = size_of::<u64>() as u32;
        Self::new(
            opcode::Read::new(types::Fd(descriptor), number.cast(), length).build(),
            token,
        )
    }

    /// Completes after the time at `wait`.
    ///
    /// # Safety
    ///
    /// The time stays valid until the completion.
    pub(super) unsafe fn timeout(wait: *const types::Timespec, token: Token) -> Self {
        Self::new(opcode::Timeout::new(wait).build(), token)
    }

    /// Moves the timeout of another token to the time at `wait`; the result is ignored.
    ///
    /// # Safety
    ///
    /// The time stays valid until the completion.
    pub(super) unsafe fn move_timeout(target: Token, wait: *const types::Timespec) -> Self {
        Self::new(opcode::TimeoutUpdate::new(target.to_user_data(), wait).build(), IGNORED)
    }

    /// Puts the request into a submission queue; returns whether it had room.
    #[inline]
    pub(super) fn push_to(&self, queue: &mut squeue::SubmissionQueue<'_>) -> bool {
        // SAFETY: what the entry points at stays valid until its completion, as the invariant of this file says.
        unsafe { queue.push(&self.0) }.is_ok()
    }

    /// Returns the token of the request's completions.
    #[cfg(test)]
    pub(super) fn token(&self) -> Option<Token> {
        Token::from_user_data(self.0.get_user_data())
    }
}

const IGNORED: Token = Token::new(Operation::Ignored, SlotKey::NONE);
