//! Squall's side of the workloads `gzip-page` and `upload-1g`.
//!
//! The page is a file that is read once and compressed for each request. The upload is written as it arrives, on a
//! thread for blocking work. While a write waits for the disk, the handler reads no further, and so the client waits.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use squall::Options;
use squall::middleware::Compression;
use squall::prelude::*;
use squall::routing::{get, post};
use squall::shards::spawn_blocking;

/// The most bytes of one upload: 16 GiB.
const UPLOAD_BYTES_MAX: u64 = 16 << 30;

#[derive(Debug, Parser)]
struct Flags {
    /// Folder with `page.html`
    #[arg(long, value_name = "DIR")]
    files: PathBuf,
    /// Folder that `upload` is written into
    #[arg(long, value_name = "DIR")]
    uploads: PathBuf,
    #[command(flatten)]
    squall: Options,
}

/// The folder of uploads.
struct Uploads(PathBuf);

/// The page, read at the start.
struct Page(Bytes);

async fn page(page: State<Page>) -> Result<Html<Bytes>> {
    Ok(Html(page.0.0.clone()))
}

/// Writes the content into the file `upload`, and answers with its length.
async fn upload(cx: &mut Context, uploads: State<Uploads>) -> Result<String> {
    let path = uploads.0.0.join("upload");
    let file = spawn_blocking(move || File::create(path)).await??;
    let file = Arc::new(file);
    let mut bytes = 0;
    while let Some(chunk) = cx.next_chunk().await? {
        bytes += chunk.len();
        let file = Arc::clone(&file);
        spawn_blocking(move || (&*file).write_all(&chunk)).await??;
    }
    Ok(bytes.to_string())
}

fn main() -> Result {
    let Flags { files, uploads, squall } = Flags::parse();
    let html = Bytes::from(std::fs::read(files.join("page.html"))?);
    Server::from_options(squall, move || {
        Application::new()
            .state(Uploads(uploads.clone()))
            .state(Page(html.clone()))
            .route("/page.html", get(page).middleware(Compression::new()))
            .route("/upload", post(upload).max_body_bytes(UPLOAD_BYTES_MAX))
    })
    .run()
}
