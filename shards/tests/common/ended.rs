//! Sockets whose peer has sent bytes, and an end after them, before anything is received.

use std::io::Write as _;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use socket2::SockRef;

/// How a client ends the connection after its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PeerEnding {
    TcpEnd,
    TcpReset,
    UnixEnd,
    UnixClose,
}

pub(crate) const ENDINGS: [PeerEnding; 4] = [
    PeerEnding::TcpEnd,
    PeerEnding::TcpReset,
    PeerEnding::UnixEnd,
    PeerEnding::UnixClose,
];

/// Returns a socket with `bytes` bytes and an end behind them, and the client if it stays open.
pub(crate) fn ended(ending: PeerEnding, bytes: usize) -> (OwnedFd, Option<UnixStream>) {
    let bytes = vec![b'x'; bytes];
    match ending {
        PeerEnding::TcpEnd | PeerEnding::TcpReset => {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            client.write_all(&bytes).unwrap();
            if matches!(ending, PeerEnding::TcpReset) {
                SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
            }
            let (socket, _) = listener.accept().unwrap();
            drop(client);
            (socket.into(), None)
        }
        PeerEnding::UnixEnd | PeerEnding::UnixClose => {
            let (socket, mut client) = UnixStream::pair().unwrap();
            client.write_all(&bytes).unwrap();
            if matches!(ending, PeerEnding::UnixEnd) {
                client.shutdown(Shutdown::Write).unwrap();
                return (socket.into(), Some(client));
            }
            (socket.into(), None)
        }
    }
}
