//! axum 0.8's WebSockets on one current-thread tokio runtime: an echo, and a topic that every publisher's messages go to.
//!
//! A subscriber is sent all messages that wait for it before its socket is flushed, which is the best that axum lets an
//! application do when messages come in bursts. No extension is offered to the client, because axum has none.
//!
//! Each connection reads through 4 KiB, as tungstenite's documentation says for many connections: its default of 128 KiB is allocated for
//! each, and cleared before every attempt to read, which would be most of the figures.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use axum::serve::ListenerExt;
use futures_util::SinkExt;
use tokio::net::TcpListener;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::broadcast::{self, Receiver, Sender};

/// What a connection reads through.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Messages a subscriber may lag behind before it misses some.
const TOPIC_MESSAGES_MAX: usize = 1024;

type Topic = Sender<Message>;

async fn echo(upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .on_upgrade(async |mut socket| {
            while let Some(Ok(message)) = socket.recv().await {
                // Pings are answered and a close is completed below this loop.
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
                    // Nobody listening is not an error.
                    topic.send(message).ok();
                }
            }
        })
}

async fn subscribe(State(topic): State<Topic>, upgrade: WebSocketUpgrade) -> Response {
    // Subscribed before the 101 leaves, so that a client which has seen it misses nothing.
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

async fn serve(listen: SocketAddr) -> std::io::Result<()> {
    let (topic, _) = broadcast::channel(TOPIC_MESSAGES_MAX);
    let routes = Router::new()
        .route("/ready", get(|| async {}))
        .route("/ws/echo", get(echo))
        .route("/ws/sub", get(subscribe))
        .route("/ws/pub", get(publish))
        .with_state(topic);
    let listener = TcpListener::bind(listen).await?.tap_io(|stream| {
        // A stream that refuses the option still answers; the client has gone.
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
