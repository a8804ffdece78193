//! actix-web 4 with one worker thread; its accept loop is a second thread, idle once all connections are open.
//!
//! Keep-alive is 75 s instead of 5 s, because the other contenders keep idle connections for at least 60 s.

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::{App, HttpServer, Responder, get, web::Json};
use serde::Serialize;

#[derive(Serialize)]
struct Message {
    message: &'static str,
}

#[get("/plaintext")]
async fn plaintext() -> &'static str {
    "Hello, World!"
}

#[get("/json")]
async fn json() -> impl Responder {
    Json(Message {
        message: "Hello, World!",
    })
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let listen = listen_argument();
    HttpServer::new(|| App::new().service(plaintext).service(json))
        .workers(1)
        .keep_alive(Duration::from_secs(75))
        .bind(listen)?
        .run()
        .await
}

fn listen_argument() -> SocketAddr {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [flag, address] if flag == "--listen" => address.parse().ok(),
        _ => None,
    }
    .unwrap_or_else(|| {
        eprintln!("usage: contender-actix-web --listen ADDRESS:PORT");
        std::process::exit(2);
    })
}
