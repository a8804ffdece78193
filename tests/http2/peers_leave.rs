//! A handler that waits learns that its stream, or its connection, has ended.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use squall::prelude::*;

use crate::support::running::{Running, SILENCE_MAX};
use crate::wire::*;

/// More than any test takes.
const LATE: Duration = Duration::from_secs(600);

/// How a client ends its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    ResetsTheStream,
    /// And keeps the connection open.
    BreaksTheProtocol,
    ClosesItsHalf,
    Closes,
    ResetsTheConnection,
}

const ENDS: [End; 5] = [
    End::ResetsTheStream,
    End::BreaksTheProtocol,
    End::ClosesItsHalf,
    End::Closes,
    End::ResetsTheConnection,
];

/// Handlers that wait at `/wait`, also for content, and inside an event stream at `/events`.
fn start() -> (Running, Receiver<&'static str>) {
    let (says, hears) = channel();
    let server = Server::new(move || {
        let (waits, streams) = (says.clone(), says.clone());
        let wait = async move |cx: &mut Context| {
            waits.send("waits").ok();
            cx.closed().await;
            waits.send("closed").ok();
        };
        Application::new().get("/wait", wait.clone()).post("/wait", wait).get(
            "/events",
            async move |cx: &mut Context| -> Result {
                let closed = cx.closed();
                let mut events = cx.event_stream()?;
                events.subscribe("news")?;
                events.send(squall::Event::new("hello")).await?;
                streams.send("waits").ok();
                closed.await;
                streams.send("closed").ok();
                Ok(())
            },
        )
    });
    // A connection that has failed lingers until its client closes.
    (Running::serve(server.shards(1).linger_timeout(LATE)), hears)
}

#[test]
fn a_handler_that_waits_learns_how_its_stream_ends() {
    let (server, hears) = start();
    let next = |case: &str| hears.recv_timeout(SILENCE_MAX).expect(case);
    for end in ENDS {
        for request in [get(1, "/wait"), post(1, "/wait"), get(1, "/events")] {
            let case = format!("{end:?} {}", request.escape_ascii());
            let mut connection = Http2::open_to(server.address);
            connection.send(&request);
            assert_eq!(next(&case), "waits", "{case}");
            let kept = match end {
                End::ResetsTheStream => {
                    connection.send(&reset(1));
                    Some(connection)
                }
                End::BreaksTheProtocol => {
                    // A window update of zero on the connection (RFC 9113 §6.9).
                    connection.send(&window_update(0, 0));
                    Some(connection)
                }
                End::ClosesItsHalf => {
                    connection.finish();
                    Some(connection)
                }
                End::Closes => {
                    drop(connection);
                    None
                }
                End::ResetsTheConnection => {
                    connection.abort();
                    None
                }
            };
            assert_eq!(next(&case), "closed", "{case}");
            drop(kept);
        }
    }
}
