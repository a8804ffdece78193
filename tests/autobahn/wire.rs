//! Runs cases over a socket, against `/ws/echo` of the `conformance` example.

use std::net::SocketAddr;

use crate::case::{Case, End, close};
use crate::support::server::Server;
use crate::support::websocket::{Client, Frame};
use crate::support::{Outcome, ensure, for_each_case, show};

/// A case of at most this many bytes also goes byte by byte, each in a packet of its own.
const BYTE_BY_BYTE_MAX: usize = 300;

/// Checks every case: in one write, with a write for each frame, and with one for each byte of a short one.
#[track_caller]
pub(crate) fn hold(cases: &[Case]) {
    let server = Server::shared();
    for_each_case(
        cases,
        |case| case.name(),
        |case| {
            let bytes = case.sent.concat();
            check(case, server.address(), [bytes.as_slice()])?;
            check(case, server.address(), case.sent.iter().map(Vec::as_slice))?;
            if bytes.len() <= BYTE_BY_BYTE_MAX {
                check(case, server.address(), bytes.chunks(1))?;
            }
            Ok(())
        },
    );
}

fn check<'p>(case: &Case, address: SocketAddr, pieces: impl IntoIterator<Item = &'p [u8]>) -> Outcome<()> {
    let mut client = Client::open(address, "/ws/echo");
    for piece in pieces {
        // A server that refuses a case may close before the last bytes are sent.
        if !client.send_if_open(piece) {
            break;
        }
    }
    for expected in &case.answers {
        let frame = client.frame();
        ensure(frame == *expected, || {
            format!("it sends {:02x} \"{}\"", frame.first, show(&frame.payload))
        })?;
    }
    match &case.end {
        End::Open => {
            client.send(&close(1000, ""));
            expect_end(&mut client, |frame| *frame == Frame::new(0x88, 1000_u16.to_be_bytes()))
        }
        End::Closed(payload) => expect_end(&mut client, |frame| *frame == Frame::new(0x88, payload.as_slice())),
        End::Refused(code) => expect_end(&mut client, |frame| frame.close_code() == Some(*code)),
    }
}

/// Expects a close frame that is right, then the end of the connection.
fn expect_end(client: &mut Client, is_right: impl Fn(&Frame) -> bool) -> Outcome<()> {
    let frame = client.frame();
    ensure(is_right(&frame), || {
        format!("it closes with {:02x} \"{}\"", frame.first, show(&frame.payload))
    })?;
    client.expect_end();
    Ok(())
}
