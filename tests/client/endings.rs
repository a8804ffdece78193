//! Beginnings and endings: frames behind the handshake response, a server that stops, a client that is dropped.

use std::io::Write;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use squall::ClientOptions;
use squall::connect;
use squall::prelude::*;
use squall::shards::{Shard, Stop, clock, timeout_at, yield_now};
use squall::websocket::{Limits, Message, SendError};

use crate::harness::{Peer, Running, TIME_LIMIT, accept, eventually_here, on_shard, read_to_end};
use crate::support::await_reset;

/// A close frame of a server, with a code and no reason.
const CLOSE_1000: &[u8] = b"\x88\x02\x03\xe8";

/// RFC 6455 §4.1: the server may send frames right behind its response, in the same segment.
#[test]
fn frames_behind_the_response_are_received() {
    for piece in [1, 7, usize::MAX] {
        let server = Peer::answering(move |request, stream| {
            stream.set_nodelay(true).unwrap();
            let head = accept(request, "X-Padding: y\r\n");
            let all = [head.as_bytes(), b"\x81\x05Hello", b"\x82\x01\x00", CLOSE_1000].concat();
            for piece in all.chunks(piece) {
                stream.write_all(piece).unwrap();
            }
            // The masked close frame, and nothing else: the client waits for the server to close (§7.1.1).
            let mut answer = [0; 8];
            std::io::Read::read_exact(stream, &mut answer).unwrap();
            assert_eq!(answer[..2], [0x88, 0x82]);
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(read_to_end(stream), b"");
        });
        let url = server.url();
        on_shard(move || {
            let url = url.clone();
            async move {
                let client = connect(&url).await.unwrap();
                assert_eq!(client.next().await, Some("Hello".into()));
                assert_eq!(client.next().await, Some(vec![0].into()));
                assert_eq!(client.next().await, None);
                assert_eq!(client.end().unwrap().code, Some(1000));
                all_closed().await;
            }
        });
    }
}

/// Waits until this shard has no open stream.
async fn all_closed() {
    eventually_here("no stream is left", || Shard::current().statistics().streams == 0).await;
}

/// Each frame has a new random masking key, so that a proxy cannot predict it (RFC 6455 §10.3).
#[test]
fn no_two_frames_have_the_same_mask() {
    let server = Peer::answering(|request, stream| {
        stream.write_all(accept(request, "").as_bytes()).unwrap();
        let mut keys = Vec::new();
        for _ in 0..300 {
            let mut frame = [0; 6];
            std::io::Read::read_exact(stream, &mut frame).unwrap();
            assert_eq!(frame[..2], [0x82, 0x80]);
            keys.push(frame[2..].to_vec());
        }
        keys.sort();
        keys.dedup();
        assert!(keys.len() > 297, "{} keys", keys.len());
    });
    let url = server.url();
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = connect(&url).await.unwrap();
            for _ in 0..300 {
                client.send(Bytes::new()).await.unwrap();
            }
            assert_eq!(client.next().await, None);
        }
    });
}

#[test]
fn a_connection_that_breaks_has_an_end_without_a_code() {
    let server = Peer::answering(|request, stream| {
        let head = accept(request, "");
        stream.write_all(&[head.as_bytes(), b"\x81\x05Hel"].concat()).unwrap();
    });
    let url = server.url();
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = connect(&url).await.unwrap();
            assert_eq!(client.next().await, None);
            assert_eq!(client.end().unwrap().code, None);
            assert!(client.send("x").await.is_err());
        }
    });
}

/// A frame of a server's must not be masked (RFC 6455 §5.1).
#[test]
fn a_protocol_violation_of_the_server_closes_with_1002() {
    let server = Peer::answering(|request, stream| {
        let head = accept(request, "");
        stream
            .write_all(&[head.as_bytes(), b"\x81\x80\x01\x02\x03\x04"].concat())
            .unwrap();
        let mut close = [0; 8];
        std::io::Read::read_exact(stream, &mut close).unwrap();
        let code = u16::from_be_bytes([close[6] ^ close[2], close[7] ^ close[3]]);
        assert_eq!((close[0], code), (0x88, 1002));
    });
    let url = server.url();
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = connect(&url).await.unwrap();
            assert_eq!(client.next().await, None);
            assert_eq!(client.end().unwrap().code, Some(1002));
        }
    });
}

/// Sends a welcome, and reports its close code to the test.
struct CloseRecorder(Sender<Option<u16>>);

impl WebSocketHandler for CloseRecorder {
    async fn open(&mut self, ws: &WebSocket) -> Result {
        Ok(ws.send("welcome").await?)
    }

    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        Ok(ws.send(message).await?)
    }

    async fn on_close(&mut self, _: &WebSocket, code: Option<u16>, _: &str) {
        self.0.send(code).unwrap_or_default();
    }
}

fn recorder() -> (Running, std::sync::mpsc::Receiver<Option<u16>>) {
    let (sender, receiver) = channel();
    let server = Running::start(1, move || {
        let sender = sender.clone();
        Application::new().websocket("/", async move |_: &mut Context| Ok(CloseRecorder(sender.clone())))
    });
    (server, receiver)
}

/// Both with a message read and with one unread.
#[test]
fn a_client_that_is_dropped_goes_away_with_1001() {
    let (server, ends) = recorder();
    for reads in [true, false] {
        let url = server.url("/");
        on_shard(move || {
            let url = url.clone();
            async move {
                let client = connect(&url).await.unwrap();
                if reads {
                    assert_eq!(client.next().await, Some("welcome".into()));
                }
                let clone = client.clone();
                drop(client);
                assert!(clone.is_open());
                drop(clone);
                all_closed().await;
            }
        });
        assert_eq!(ends.recv_timeout(TIME_LIMIT).unwrap(), Some(1001));
    }
}

/// How a server leaves.
#[derive(Debug, Clone, Copy)]
enum Departure {
    HalfCloses,
    Closes,
    Resets,
}

/// A client that takes no message learns that its server has left, and reads the messages from before that.
#[test]
fn a_client_that_takes_no_message_learns_that_its_server_has_left() {
    for leaving in [Departure::HalfCloses, Departure::Closes, Departure::Resets] {
        for says_goodbye in [false, true] {
            let (go, gone) = channel::<()>();
            let server = Peer::answering(move |request, stream| {
                let mut bytes = [accept(request, "").as_bytes(), b"\x81\x03one\x81\x03two"].concat();
                if says_goodbye {
                    bytes.extend(CLOSE_1000);
                }
                stream.write_all(&bytes).unwrap();
                gone.recv().unwrap();
                match leaving {
                    Departure::HalfCloses => {
                        stream.shutdown(std::net::Shutdown::Write).unwrap();
                        drop(read_to_end(stream));
                    }
                    Departure::Closes => {}
                    Departure::Resets => socket2::SockRef::from(&*stream)
                        .set_linger(Some(Duration::ZERO))
                        .unwrap(),
                }
            });
            let url = server.url();
            on_shard(move || {
                let (url, go) = (url.clone(), go.clone());
                async move {
                    let case = format!("{leaving:?} {says_goodbye}");
                    // Only the kernel's report can tell the client.
                    let limits = Limits::default().ping_interval(Duration::ZERO);
                    let client = ClientOptions::default().limits(limits).connect(&url).await.unwrap();
                    go.send(()).unwrap();
                    client.closed().await;
                    assert!(!client.is_open(), "{case}");
                    assert_eq!(client.try_send("late"), Err(SendError::Closed), "{case}");
                    assert_eq!(client.next().await, Some("one".into()), "{case}");
                    assert_eq!(client.next().await, Some("two".into()), "{case}");
                    assert_eq!(client.next().await, None, "{case}");
                    assert_eq!(client.end().unwrap().code, says_goodbye.then_some(1000), "{case}");
                    client.closed().await;
                    all_closed().await;
                }
            });
        }
    }
}

/// Messages wait until the application reads them; closing does not.
#[test]
fn closing_does_not_wait_for_messages_to_be_read() {
    let (server, ends) = recorder();
    let url = server.url("/");
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = connect(&url).await.unwrap();
            for _ in 0..10 {
                client.send("back, please").await.unwrap();
            }
            assert_eq!(client.close(4007, "").await.unwrap().code, Some(4007));
            let mut left = 0;
            while client.next().await.is_some() {
                left += 1;
            }
            assert!(left <= 1, "{left} messages");
        }
    });
    assert_eq!(ends.recv_timeout(TIME_LIMIT).unwrap(), Some(4007));
}

#[test]
fn a_server_that_stops_says_1001() {
    let (server, _ends) = recorder();
    let (url, stopper) = (server.url("/"), server.stopper.clone());
    on_shard(move || {
        let (url, stopper) = (url.clone(), stopper.clone());
        async move {
            let client = connect(&url).await.unwrap();
            assert_eq!(client.next().await, Some("welcome".into()));
            stopper.stop(Stop::Graceful);
            assert_eq!(client.next().await, None);
            assert_eq!(client.end().unwrap().code, Some(1001));
        }
    });
}

/// The shard ends with the test's future, and the client with it.
#[test]
fn a_client_ends_with_its_shard() {
    let (server, ends) = recorder();
    let url = server.url("/");
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = connect(&url).await.unwrap();
            assert_eq!(client.next().await, Some("welcome".into()));
            squall::shards::spawn_detached(async move {
                client.next().await;
            });
        }
    });
    ends.recv_timeout(TIME_LIMIT).unwrap();
}

/// The server keeps the connection open and reads nothing.
#[test]
fn a_server_that_reads_nothing_is_cut() {
    let (gone, is_gone) = channel::<()>();
    let server = Peer::answering(move |request, stream| {
        stream.write_all(accept(request, "").as_bytes()).unwrap();
        is_gone.recv().unwrap_or_default();
        await_reset(stream);
    });
    let url = server.url();
    on_shard(move || {
        let (url, gone) = (url.clone(), gone.clone());
        async move {
            let options = ClientOptions::default().write_timeout(Duration::from_millis(200));
            let client = options.connect(&url).await.unwrap();
            while client.send(vec![0; 512 * 1024]).await.is_ok() {}
            assert_eq!(client.next().await, None);
            assert_eq!(client.end().unwrap().code, None);
            drop(gone);
        }
    });
}

const CLIENTS: usize = 2_000;

/// Clients that end in every state leave nothing behind at either end.
#[test]
fn two_thousand_clients_leave_no_stream_behind() {
    let (server, ends) = recorder();
    let url = server.url("/");
    on_shard(move || {
        let url = url.clone();
        async move {
            // The time limit of the test starts once it waits.
            yield_now().await;
            // A client that cuts a server for its slow answer leaves it no close code.
            let options = ClientOptions::default().limits(Limits::default().close_timeout(TIME_LIMIT));
            let connect = async |url: &str| options.connect(url).await;
            let before = Shard::current().statistics();
            for number in 0..CLIENTS {
                if number % 5 == 0 {
                    let soon = clock::now() + Duration::from_micros(number as u64 % 500);
                    drop(timeout_at(soon, connect(&url)).await);
                    continue;
                }
                let client = connect(&url).await.unwrap();
                match number % 5 {
                    1 => drop(client.close(1000, "").await),
                    2 => drop(client.next().await),
                    3 => client.send(vec![7; 100_000]).await.unwrap(),
                    _ => {}
                }
            }
            all_closed().await;
            let after = Shard::current().statistics();
            assert_eq!((after.tasks, after.timers), (before.tasks, before.timers));
            assert_eq!(after.receive_buffers_available, before.receive_buffers_available);
            assert_eq!(after.completions_stale, 0);
        }
    });
    // The handler of every opened socket has ended the way its client did.
    let (mut closed, mut gone_away) = (0, 0);
    while closed < CLIENTS / 5 || gone_away < CLIENTS / 5 * 3 {
        match ends.recv_timeout(TIME_LIMIT).unwrap() {
            Some(1000) => closed += 1,
            Some(1001) => gone_away += 1,
            // Dropped between the server's response and its arrival.
            code => assert_eq!(code, None),
        }
    }
}
