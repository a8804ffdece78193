//! axum 0.8's WebSockets and `Sse` on one current-thread tokio runtime: an echo, and one topic for all publishers.
//!
//! A subscriber's waiting messages are written before one flush, the best that axum allows an application for bursts.
//! It offers no extensions, because axum has none.
//!
//! Each connection reads through 4 KiB, as tungstenite's documentation recommends for many connections. The default of
//! 128 KiB is allocated per connection and cleared before each read, which would dominate the figures.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use axum::serve::ListenerExt;
use futures_util::{SinkExt, Stream, stream};
use tokio::net::TcpListener;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::broadcast::{self, Receiver, Sender};

/// The read buffer of a connection, in bytes.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// The most messages that wait for a subscriber; it misses older ones.
const TOPIC_MESSAGES_MAX: usize = 1024;

type Topic = Sender<Message>;

async fn echo(upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .on_upgrade(async |mut socket| {
            while let Some(Ok(message)) = socket.recv().await {
                // axum answers pings and completes a close.
                if matches!(message, Message::Text(_) | Message::Binary(_)) && socket.send(message).await.is_err() {
                    return;
                }
            }
        })
}

async fn publish(State(topic): State<Topic>, upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .on_upgrade(async move |mut socket| {
            while let Some(Ok(message)) = socket.recv().await {
                if matches!(message, Message::Text(_) | Message::Binary(_)) {
                    // An error means the topic has no subscribers.
                    topic.send(message).ok();
                }
            }
        })
}

async fn subscribe(State(topic): State<Topic>, upgrade: WebSocketUpgrade) -> Response {
    // Subscribe before the 101 is sent, so that the client misses no message after it.
    let messages = topic.subscribe();
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .on_upgrade(async move |socket| deliver(socket, messages).await)
}

async fn deliver(mut socket: WebSocket, mut messages: Receiver<Message>) {
    loop {
        let first = tokio::select! {
            message = messages.recv() => message,
            received = socket.recv() => match received {
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

async fn events(State(topic): State<Topic>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    // Subscribe before the head is sent, so that the client misses no message after it.
    Sse::new(stream::unfold(topic.subscribe(), next_event)).keep_alive(KeepAlive::default())
}

async fn next_event(mut messages: Receiver<Message>) -> Option<(Result<Event, Infallible>, Receiver<Message>)> {
    loop {
        match messages.recv().await {
            Ok(Message::Text(text)) => return Some((Ok(Event::default().data(text.as_str())), messages)),
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return None,
        }
    }
}

async fn serve(listen: SocketAddr) -> std::io::Result<()> {
    let (topic, _) = broadcast::channel(TOPIC_MESSAGES_MAX);
    let routes = Router::new()
        .route("/ready", get(|| async {}))
        .route("/ws/echo", get(echo))
        .route("/ws/sub", get(subscribe))
        .route("/ws/pub", get(publish))
        .route("/events", get(events))
        .with_state(topic);
    let listener = TcpListener::bind(listen).await?.tap_io(|stream| {
        // The option fails only on a closed connection.
        stream.set_nodelay(true).ok();
    });
    axum::serve(listener, routes).await
}

fn main() -> std::io::Result<()> {
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
        eprintln!("usage: contender-axum-ws --listen ADDRESS:PORT");
        std::process::exit(2);
    })
}
