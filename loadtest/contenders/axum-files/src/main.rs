//! tower-http's `ServeDir` and an upload in axum 0.8, on one current-thread tokio runtime.
//!
//! The upload writes each chunk as hyper gives it. Smaller buffers between the two, as in axum's own example, would send
//! more and smaller writes to tokio's thread for files.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::serve::ListenerExt;
use futures_util::TryStreamExt;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tower_http::services::ServeDir;

/// Writes the content into the file `upload`, and answers with its length.
async fn upload(State(uploads): State<Arc<PathBuf>>, body: Body) -> Result<String, StatusCode> {
    write(&uploads.join("upload"), body).await.map_err(|error| {
        eprintln!("error: {error}");
        StatusCode::INTERNAL_SERVER_ERROR
    })
}

async fn write(path: &std::path::Path, body: Body) -> std::io::Result<String> {
    let mut file = File::create(path).await?;
    let mut chunks = body.into_data_stream();
    let mut bytes = 0;
    while let Some(chunk) = chunks.try_next().await.map_err(std::io::Error::other)? {
        file.write_all(&chunk).await?;
        bytes += chunk.len();
    }
    file.flush().await?;
    Ok(bytes.to_string())
}

async fn serve(arguments: Arguments) -> std::io::Result<()> {
    let routes = Router::new()
        .route("/upload", post(upload))
        .layer(DefaultBodyLimit::disable())
        .with_state(Arc::new(arguments.uploads))
        .fallback_service(ServeDir::new(arguments.files));
    let listener = TcpListener::bind(arguments.listen).await?.tap_io(|stream| {
        // The option fails only on a closed connection.
        stream.set_nodelay(true).ok();
    });
    axum::serve(listener, routes).await
}

fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse().unwrap_or_else(|| {
        eprintln!("usage: contender-axum-files --listen ADDRESS:PORT --files FOLDER --uploads FOLDER");
        std::process::exit(2);
    });
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(serve(arguments))
}

struct Arguments {
    listen: SocketAddr,
    files: PathBuf,
    uploads: PathBuf,
}

impl Arguments {
    fn parse() -> Option<Self> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let after = |flag: &str| {
            let place = arguments.iter().position(|argument| argument == flag)?;
            arguments.get(place + 1)
        };
        Some(Self {
            listen: after("--listen")?.parse().ok()?,
            files: after("--files")?.into(),
            uploads: after("--uploads")?.into(),
        })
    }
}
