//! ntex 3 with one worker thread; its accept loop is a second thread, idle once all connections are open.
//!
//! The runtime is a cargo feature: `neon-uring` (the default here, ntex's own runtime on io_uring), `neon-polling` (the
//! same on epoll), or `tokio`. Keep-alive is 75 s instead of 5 s, because the other contenders keep idle connections
//! for at least 60 s.

use std::net::SocketAddr;

use ntex::SharedCfg;
use ntex::http::{HttpServiceConfig, KeepAlive};
use ntex::time::Seconds;
use ntex::web::{self, App, HttpResponse, HttpServer};
use serde::Serialize;

#[derive(Serialize)]
struct Message {
    message: &'static str,
}

#[web::get("/plaintext")]
async fn plaintext() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("Hello, World!")
}

#[web::get("/json")]
async fn json() -> HttpResponse {
    HttpResponse::Ok().json(&Message {
        message: "Hello, World!",
    })
}

#[ntex::main(name = "contender-ntex")]
async fn main() -> std::io::Result<()> {
    let listen = listen_argument();
    HttpServer::new(async || App::new().service((plaintext, json)))
        .workers(1)
        .backlog(4096)
        .config(
            SharedCfg::new("contender")
                .add(HttpServiceConfig::new().set_keepalive(KeepAlive::Timeout(Seconds(75)))),
        )
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
        eprintln!("usage: contender-ntex --listen ADDRESS:PORT");
        std::process::exit(2);
    })
}
