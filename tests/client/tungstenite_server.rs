//! The client with tungstenite's server. The two share only the coding of frame headers.

use std::net::TcpStream;
use std::time::Duration;

use squall::client::ClientOptions;
use squall::connect;
use squall::websocket::Message;
use squall::websocket::{DeflateConfig, Limits};
use tungstenite::handshake::server::{Request, Response};
use tungstenite::protocol::CloseFrame;
use tungstenite::{Error as TheirError, Message as Frame, WebSocket as Server};

use crate::harness::{Peer, noise, offering, on_shard};

/// A peer with tungstenite's handshake.
fn their_server(serve: impl FnOnce(Server<TcpStream>) + Send + 'static) -> Peer {
    Peer::start(|stream| serve(tungstenite::accept(stream).unwrap()))
}

/// Echoes every message until the client closes, then closes the transport.
fn echo(mut server: Server<TcpStream>) {
    loop {
        match server.read() {
            Ok(message @ (Frame::Text(_) | Frame::Binary(_))) => server.send(message).unwrap(),
            Ok(_) => {}
            Err(TheirError::ConnectionClosed) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn messages_of_all_sizes_come_back_whether_or_not_compression_is_offered() {
    for deflate in [None, Some(DeflateConfig::default())] {
        let server = their_server(echo);
        let url = server.url();
        on_shard(move || {
            let (url, deflate) = (url.clone(), deflate.clone());
            async move {
                let options = offering(deflate);
                let client = options.connect(&url).await.unwrap();
                for length in [0, 1, 125, 126, 65_535, 65_536, 1 << 20] {
                    let text = Message::from("\u{e9}".repeat(length / 2));
                    client.send(text.clone()).await.unwrap();
                    assert!(client.next().await == Some(text), "{length}");
                    let bytes = Message::from(noise(length));
                    client.send(bytes.clone()).await.unwrap();
                    assert!(client.next().await == Some(bytes), "{length}");
                }
                assert_eq!(client.close(1000, "").await.unwrap().code, Some(1000));
            }
        });
    }
}

#[test]
fn the_servers_subprotocol_is_used() {
    let server = Peer::start(|stream| {
        #[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
        let choose = |request: &Request, mut response: Response| {
            assert_eq!(request.headers()["sec-websocket-protocol"], "one, two");
            let chosen = "two".parse().unwrap();
            response.headers_mut().insert("sec-websocket-protocol", chosen);
            Ok(response)
        };
        echo(tungstenite::accept_hdr(stream, choose).unwrap());
    });
    let url = server.url();
    on_shard(move || {
        let url = url.clone();
        async move {
            let options = ClientOptions::default().subprotocol("one").subprotocol("two");
            let client = options.connect(&url).await.unwrap();
            assert_eq!(client.subprotocol(), Some("two"));
            client.close(1000, "").await.unwrap();
        }
    });
}

#[test]
fn the_servers_close_code_and_reason_are_reported_and_answered() {
    let server = their_server(|mut server| {
        let (code, reason) = (4321.into(), "go away".into());
        server.close(Some(CloseFrame { code, reason })).unwrap();
        let Frame::Close(Some(answer)) = server.read().unwrap() else {
            panic!("no close frame")
        };
        assert_eq!(u16::from(answer.code), 4321);
    });
    let url = server.url();
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = connect(&url).await.unwrap();
            assert_eq!(client.next().await, None);
            let end = client.end().unwrap();
            assert_eq!((end.code, end.reason.as_str()), (Some(4321), "go away"));
            assert!(!client.is_open());
            client.send("too late").await.unwrap_err();
            client.ping(b"too late").unwrap_err();
            assert_eq!(client.next().await, None, "the end stays the end");
            assert_eq!(client.close(1000, "").await.unwrap().code, Some(4321));
        }
    });
}

#[test]
fn the_clients_close_code_and_reason_reach_the_server() {
    let server = their_server(|mut server| {
        let Frame::Close(Some(frame)) = server.read().unwrap() else {
            panic!("no close frame")
        };
        assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4000, "seen enough"));
        assert!(matches!(server.flush(), Err(TheirError::ConnectionClosed) | Ok(())));
    });
    let url = server.url();
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = connect(&url).await.unwrap();
            client.close(1005, "").await.unwrap_err();
            client.close(1000, &"x".repeat(124)).await.unwrap_err();
            assert!(client.is_open());
            assert_eq!(client.close(4000, "seen enough").await.unwrap().code, Some(4000));
            assert_eq!(client.next().await, None);
        }
    });
}

/// The client answers pings while the application reads nothing, and tungstenite answers the client's.
#[test]
fn pings_are_answered_both_ways() {
    let server = their_server(|mut server| {
        server.send(Frame::Ping(b"theirs".to_vec().into())).unwrap();
        let mut seen = [server.read().unwrap(), server.read().unwrap()];
        seen.sort_by_key(Frame::is_ping);
        assert_eq!(
            seen,
            [
                Frame::Pong(b"theirs".to_vec().into()),
                Frame::Ping(b"ours".to_vec().into())
            ]
        );
        server.send(Frame::text("done")).unwrap();
        echo(server);
    });
    let url = server.url();
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = connect(&url).await.unwrap();
            client.ping(b"ours").unwrap();
            assert_eq!(client.next().await, Some("done".into()));
            client.close(1000, "").await.unwrap();
        }
    });
}

fn with_short_timeouts() -> Limits {
    Limits::default()
        .ping_interval(Duration::from_millis(50))
        .ping_timeout(Duration::from_millis(50))
        .close_timeout(Duration::from_millis(50))
}

#[test]
fn pings_keep_a_quiet_connection_alive() {
    let server = their_server(|mut server| {
        for _ in 0..5 {
            assert!(server.read().unwrap().is_ping());
        }
        server.send(Frame::text("still here")).unwrap();
        echo(server);
    });
    let url = server.url();
    on_shard(move || {
        let url = url.clone();
        async move {
            let limits = with_short_timeouts().ping_timeout(Duration::from_secs(60));
            let client = ClientOptions::default().limits(limits).connect(&url).await.unwrap();
            assert_eq!(client.next().await, Some("still here".into()));
            client.close(1000, "").await.unwrap();
        }
    });
}

/// The server answers neither pings nor a close frame.
#[test]
fn a_silent_server_is_cut_after_the_ping_timeout() {
    for closes in [false, true] {
        let (gone, is_gone) = std::sync::mpsc::channel::<()>();
        let server = their_server(move |server| {
            is_gone.recv().unwrap_or_default();
            drop(server);
        });
        let url = server.url();
        on_shard(move || {
            let (url, gone) = (url.clone(), gone.clone());
            async move {
                let client = ClientOptions::default()
                    .limits(with_short_timeouts())
                    .connect(&url)
                    .await;
                let client = client.unwrap();
                if closes {
                    assert_eq!(client.close(1000, "").await.unwrap().code, None);
                }
                assert_eq!(client.next().await, None);
                assert_eq!(client.end().unwrap().code, None);
                drop(gone);
            }
        });
    }
}

#[test]
fn a_message_that_is_too_big_ends_the_connection_with_1009() {
    let server = their_server(|mut server| {
        server.send(Frame::binary(vec![7; 1000])).unwrap();
        server.send(Frame::binary(vec![7; 1001])).unwrap();
        let Frame::Close(Some(frame)) = server.read().unwrap() else {
            panic!("no close frame")
        };
        assert_eq!(u16::from(frame.code), 1009);
    });
    let url = server.url();
    on_shard(move || {
        let url = url.clone();
        async move {
            let limits = Limits::default().max_message_bytes(1000);
            let client = ClientOptions::default().limits(limits).connect(&url).await.unwrap();
            assert_eq!(client.next().await, Some(vec![7; 1000].into()));
            assert_eq!(client.next().await, None);
            assert_eq!(client.end().unwrap().code, Some(1009));
        }
    });
}
