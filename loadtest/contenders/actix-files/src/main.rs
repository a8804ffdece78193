//! actix-files on actix-web 4 with one worker thread; files are read on its pool of blocking threads.
//!
//! Keep-alive is 75 s instead of 5 s, because the other contenders keep idle connections for at least 60 s.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use actix_files::Files;
use actix_web::{App, HttpServer};

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let (listen, files) = arguments();
    HttpServer::new(move || App::new().service(Files::new("/", files.clone())))
        .workers(1)
        .keep_alive(Duration::from_secs(75))
        .bind(listen)?
        .run()
        .await
}

fn arguments() -> (SocketAddr, PathBuf) {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [listen, address, files, folder] if listen == "--listen" && files == "--files" => {
            address.parse().ok().map(|address| (address, folder.into()))
        }
        _ => None,
    }
    .unwrap_or_else(|| {
        eprintln!("usage: contender-actix-files --listen ADDRESS:PORT --files FOLDER");
        std::process::exit(2);
    })
}
