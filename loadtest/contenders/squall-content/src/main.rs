//! Squall's side of the workloads `askama-page`, `gzip-page` and `upload-1g`.
//!
//! The compressed page is a file that is read once and compressed for each request. The upload is written as it arrives, on a
//! thread for blocking work. While a write waits for the disk, the handler reads no further, and so the client waits.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use askama::Template;
use clap::Parser;
use squall::Options;
use squall::middleware::Compression;
use squall::prelude::*;
use squall::routing::{get, post};
use squall::shards::spawn_blocking;
use squall::views::Render;

/// The most bytes of one upload: 16 GiB.
const UPLOAD_BYTES_MAX: u64 = 16 << 30;

/// The rows of the page from a template.
const MESSAGES: [&str; 12] = [
    "The lamp has arrived.",
    "The chair leaves tomorrow.",
    "The kettle is out of stock.",
    "The notebook was returned.",
    "The umbrella has arrived.",
    "The bicycle bell leaves today.",
    "The mirror was paid.",
    "The carpet leaves on Monday.",
    "The clock has arrived.",
    "The vase was damaged.",
    "The shelf is out of stock.",
    "<b>Tea & \"coffee\"</b>",
];

/// The page from a template.
#[derive(Template)]
#[template(
    ext = "html",
    source = "<!DOCTYPE html>
<html lang=\"en\">
<head><meta charset=\"utf-8\"><title>Orders</title></head>
<body>
<table>
<tr><th>number</th><th>message</th></tr>
{% for message in messages %}<tr><td>{{ loop.index }}</td><td>{{ message }}</td></tr>
{% endfor %}</table>
</body>
</html>"
)]
struct Orders {
    messages: &'static [&'static str],
}

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

async fn orders(_: &mut Context) -> Render<Orders> {
    Render(Orders { messages: &MESSAGES })
}

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
            .get("/page", orders)
            .route("/upload", post(upload).max_body_bytes(UPLOAD_BYTES_MAX))
    })
    .run()
}
