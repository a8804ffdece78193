//! axum 0.8 as its documentation shows it, on one current-thread tokio runtime, with Nagle's algorithm off.

use std::net::SocketAddr;

use axum::routing::get;
use axum::serve::ListenerExt;
use axum::{Json, Router};
use serde::Serialize;
use tokio::net::TcpListener;

#[derive(Serialize)]
struct Message {
    message: &'static str,
}

async fn plaintext() -> &'static str {
    "Hello, World!"
}

async fn json() -> Json<Message> {
    Json(Message {
        message: "Hello, World!",
    })
}

async fn serve(listen: SocketAddr) -> std::io::Result<()> {
    let routes = Router::new()
        .route("/plaintext", get(plaintext))
        .route("/json", get(json));
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
        eprintln!("usage: contender-axum --listen ADDRESS:PORT");
        std::process::exit(2);
    })
}
