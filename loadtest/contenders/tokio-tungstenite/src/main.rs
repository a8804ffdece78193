//! tokio-tungstenite on one current-thread tokio runtime: an echo, and one topic for all publishers.
//!
//! A subscriber's waiting messages are written before one flush, the best that the library allows an application for
//! bursts. It offers no extensions, because tungstenite has none.
//!
//! Each connection reads through 4 KiB, as tungstenite's documentation recommends for many connections. The default of
//! 128 KiB is allocated per connection and cleared before each read, which would dominate the figures.

use std::io;
use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::broadcast::{self, Receiver, Sender};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

/// The read buffer of a connection, in bytes.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// The most messages that wait for a subscriber; it misses older ones.
const TOPIC_MESSAGES_MAX: usize = 1024;

/// The start of the readiness probe, which is not a WebSocket handshake, and its response.
const READY_REQUEST: &[u8] = b"GET /ready ";
const READY_ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

type Socket = WebSocketStream<TcpStream>;
type Topic = Sender<Message>;

enum Route {
    Echo,
    /// Subscribed before the 101 is sent, so that the client misses no message after it.
    Subscribe(Receiver<Message>),
    Publish,
}

async fn converse(mut stream: TcpStream, topic: Topic) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut beginning = [0; READY_REQUEST.len()];
    let received = stream.peek(&mut beginning).await?;
    if &beginning[..received] == READY_REQUEST {
        return stream.write_all(READY_ANSWER).await;
    }
    let mut route = Route::Echo;
    let choose = |request: &Request, response: Response| {
        route = match request.uri().path() {
            "/ws/echo" => Route::Echo,
            "/ws/sub" => Route::Subscribe(topic.subscribe()),
            "/ws/pub" => Route::Publish,
            _ => return Err(missing()),
        };
        Ok(response)
    };
    // A client may disconnect at any time; the server ignores that.
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES);
    if let Ok(socket) = accept_hdr_async_with_config(stream, choose, Some(config)).await {
        match route {
            Route::Echo => echo(socket).await,
            Route::Subscribe(messages) => deliver(socket, messages).await,
            Route::Publish => publish(socket, &topic).await,
        }
    }
    Ok(())
}

fn missing() -> ErrorResponse {
    let mut response = ErrorResponse::new(None);
    *response.status_mut() = tokio_tungstenite::tungstenite::http::StatusCode::NOT_FOUND;
    response
}

async fn echo(mut socket: Socket) {
    while let Some(Ok(message)) = socket.next().await {
        // The library answers pings and completes a close.
        if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            return;
        }
    }
}

async fn publish(mut socket: Socket, topic: &Topic) {
    while let Some(Ok(message)) = socket.next().await {
        if message.is_text() || message.is_binary() {
            // An error means the topic has no subscribers.
            topic.send(message).ok();
        }
    }
}

async fn deliver(mut socket: Socket, mut messages: Receiver<Message>) {
    loop {
        let first = tokio::select! {
            message = messages.recv() => message,
            received = socket.next() => match received {
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return,
            },
        };
        let mut next = match first {
            Ok(message) => Some(message),
            Err(RecvError::Lagged(_)) => None,
            Err(RecvError::Closed) => return,
        };
        while let Some(message) = next {
            if socket.feed(message).await.is_err() {
                return;
            }
            next = match messages.try_recv() {
                Ok(message) => Some(message),
                Err(TryRecvError::Empty | TryRecvError::Lagged(_) | TryRecvError::Closed) => None,
            };
        }
        if socket.flush().await.is_err() {
            return;
        }
    }
}

async fn serve(listen: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    let (topic, _) = broadcast::channel(TOPIC_MESSAGES_MAX);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(converse(stream, topic.clone()));
    }
}

fn main() -> io::Result<()> {
    let listen = listen_argument();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(serve(listen))
}

fn listen_argument() -> SocketAddr {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [flag, address] if flag == "--listen" => address.parse().ok(),
        _ => None,
    }
    .unwrap_or_else(|| {
        eprintln!("usage: contender-tokio-tungstenite --listen ADDRESS:PORT");
        std::process::exit(2);
    })
}
