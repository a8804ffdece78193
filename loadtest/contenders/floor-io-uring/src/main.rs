//! The io_uring floor: the least work of a single-thread completion server that parses HTTP/1.1 correctly.
//!
//! There is one multishot accept for the listener. Each connection has one multishot receive, into buffers that the
//! kernel picks from a ring. One send has all responses to one receive. Each io_uring_enter(2) submits a turn's entries
//! and waits for completions. Parser, responses and missing features are those of `floor-epoll`.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;

use io_uring::types::Fd;
use io_uring::{IoUring, cqueue, opcode, squeue};
use slab::Slab;

#[path = "../../floor-epoll/src/answer.rs"]
mod answer;
mod buffers;
mod connection;
#[path = "../../floor-epoll/src/request.rs"]
mod request;
mod socket;

use answer::Answers;
use buffers::Buffers;
use connection::Connection;

/// Entries of the submission queue; the completion queue has twice as many.
const ENTRIES: u32 = 4096;

/// The kind of a completion, in the low bits of its user data; the connection's key is above them.
const ACCEPT: u64 = 0;
const RECEIVE: u64 = 1;
const SEND: u64 = 2;
const CLOSE: u64 = 3;
const KIND_BITS: u32 = 2;

fn main() -> io::Result<()> {
    let listener = TcpListener::bind(listen_argument())?;
    // The standard library sets a backlog of 128, which 512 simultaneous clients overflow.
    socket::listen(&listener, 4096)?;
    // Accepted sockets inherit the option, which saves a system call for each.
    socket::disable_nagle(&listener)?;
    let ring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .build(ENTRIES)?;
    let buffers = Buffers::register(&ring.submitter())?;
    let mut server = Server {
        ring,
        buffers,
        listener,
        connections: Slab::new(),
        answers: Answers::new(),
        spare: Vec::new(),
    };
    server.serve()
}

struct Server {
    ring: IoUring,
    buffers: Buffers,
    listener: TcpListener,
    connections: Slab<Connection>,
    answers: Answers,
    /// Empty response buffers; as many as were ever in use at once.
    spare: Vec<Vec<u8>>,
}

impl Server {
    fn serve(&mut self) -> io::Result<()> {
        self.accept()?;
        let mut completions: Vec<(u64, i32, u32)> = Vec::new();
        loop {
            match self.ring.submit_and_wait(1) {
                Ok(_) => {}
                // EINTR: a signal. EBUSY: the completion queue must be emptied first.
                Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR | libc::EBUSY)) => {}
                Err(error) => return Err(error),
            }
            self.answers.refresh(socket::coarse_seconds());
            let arrived = self.ring.completion();
            completions.extend(arrived.map(|entry| (entry.user_data(), entry.result(), entry.flags())));
            for (user_data, result, flags) in completions.drain(..) {
                let key = (user_data >> KIND_BITS) as usize;
                match user_data & ((1 << KIND_BITS) - 1) {
                    ACCEPT => self.on_accepted(result, flags)?,
                    RECEIVE => self.on_received(key, result, flags)?,
                    SEND => self.on_sent(key, result)?,
                    // Only a failed close is reported, and the descriptor is released all the same.
                    _ => {}
                }
            }
        }
    }

    fn on_accepted(&mut self, result: i32, flags: u32) -> io::Result<()> {
        if result >= 0 {
            let key = self.connections.insert(Connection::new(result));
            self.receive(key)?;
        }
        if cqueue::more(flags) { Ok(()) } else { self.accept() }
    }

    fn on_received(&mut self, key: usize, result: i32, flags: u32) -> io::Result<()> {
        let connection = &mut self.connections[key];
        connection.is_receiving = cqueue::more(flags);
        if let Some(buffer) = cqueue::buffer_select(flags) {
            let received = self.buffers.received(buffer, usize::try_from(result).unwrap_or(0));
            connection.answer_all(received, &self.answers, &mut self.spare);
            self.buffers.give_back(buffer);
            if connection.is_swamped() {
                // The shutdown fails the pending send, and its completion closes the connection.
                socket::shut_down(connection.descriptor);
            }
        }
        let has_ended = result <= 0 && result != -libc::ENOBUFS;
        connection.is_closing |= has_ended;
        self.go_on(key)
    }

    fn on_sent(&mut self, key: usize, result: i32) -> io::Result<()> {
        let connection = &mut self.connections[key];
        match usize::try_from(result) {
            Ok(bytes) if connection.note_sent(bytes, &mut self.spare) => return self.send(key),
            Ok(_) => {}
            Err(_) => connection.give_up_sending(),
        }
        self.go_on(key)
    }

    /// Starts the connection's next operation: send, receive, or close.
    fn go_on(&mut self, key: usize) -> io::Result<()> {
        let connection = &mut self.connections[key];
        if connection.start_sending() {
            return self.send(key);
        }
        if !connection.sending.is_empty() {
            return Ok(());
        }
        match (connection.is_closing, connection.is_receiving) {
            (false, true) => Ok(()),
            // The buffers ran out, or the kernel ended the multishot.
            (false, false) => {
                connection.is_receiving = true;
                self.receive(key)
            }
            // The shutdown completes the armed receive, and its completion closes the connection.
            (true, true) => {
                socket::shut_down(connection.descriptor);
                Ok(())
            }
            (true, false) => {
                let descriptor = self.connections.remove(key).descriptor;
                let close = opcode::Close::new(Fd(descriptor)).build().user_data(CLOSE);
                self.submit(&close.flags(squeue::Flags::SKIP_SUCCESS))
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        let accept = opcode::AcceptMulti::new(Fd(self.listener.as_raw_fd())).flags(libc::SOCK_CLOEXEC);
        self.submit(&accept.build().user_data(ACCEPT))
    }

    fn receive(&mut self, key: usize) -> io::Result<()> {
        let receive = opcode::RecvMulti::new(Fd(self.connections[key].descriptor), buffers::GROUP);
        self.submit(&receive.build().user_data(user_data(key, RECEIVE)))
    }

    fn send(&mut self, key: usize) -> io::Result<()> {
        let connection = &self.connections[key];
        let rest = &connection.sending[connection.sent..];
        let send = opcode::Send::new(Fd(connection.descriptor), rest.as_ptr(), rest.len() as u32).flags(libc::MSG_NOSIGNAL);
        self.submit(&send.build().user_data(user_data(key, SEND)))
    }

    fn submit(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        loop {
            // SAFETY: the memory of an entry outlives its operation. A connection's `sending` stays untouched until the
            // send has completed. Its heap block stays in place when the slab moves. The connection stays until no
            // operation is pending.
            let pushed = unsafe { self.ring.submission().push(entry) };
            if pushed.is_ok() {
                return Ok(());
            }
            self.ring.submit()?;
        }
    }
}

fn user_data(key: usize, kind: u64) -> u64 {
    (key as u64) << KIND_BITS | kind
}

fn listen_argument() -> SocketAddr {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [flag, address] if flag == "--listen" => address.parse().ok(),
        _ => None,
    }
    .unwrap_or_else(|| {
        eprintln!("usage: contender-floor-io-uring --listen ADDRESS:PORT");
        std::process::exit(2);
    })
}
