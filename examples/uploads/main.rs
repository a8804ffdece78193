//! A page that uploads files with a progress bar; the server writes them to a folder as they arrive.
//!
//! ```text
//! cargo run --release --example uploads -- --listen 127.0.0.1:8888 --dir uploads --max-upload-bytes 4294967296
//! ```
//!
//! Open <http://127.0.0.1:8888/>. Without the page:
//!
//! ```text
//! curl -F file=@photo.jpg http://127.0.0.1:8888/files
//! ```

mod folder;

use std::path::PathBuf;

use clap::Parser;
use serde::Serialize;
use squall::Options;
use squall::prelude::*;
use squall::routing::get;

use folder::{Folder, Stored};

/// The Content-Security-Policy of the page: load from and connect to this server only.
const POLICY: &str = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The flags of the server, and those of the application.
#[derive(Debug, Parser)]
struct Flags {
    #[command(flatten)]
    squall: Options,
    #[command(flatten)]
    application: ApplicationFlags,
}

/// The flags of the application.
#[derive(Debug, Clone, clap::Args)]
struct ApplicationFlags {
    /// The folder of the uploaded files; the first upload creates it
    #[arg(long, value_name = "DIR", default_value = "uploads")]
    dir: PathBuf,
    /// Most bytes in one upload
    #[arg(long, value_name = "BYTES", default_value_t = 1024 * 1024 * 1024)]
    max_upload_bytes: u64,
}

/// What the page says about limits.
#[derive(Debug, Clone, Copy, Serialize)]
struct Limits {
    upload_bytes: u64,
}

async fn page() -> Html<&'static str> {
    Html(include_str!("page.html"))
}

async fn limits(limits: State<Limits>) -> Json<Limits> {
    Json(*limits.0)
}

async fn list(folder: State<Folder>) -> Result<Json<Vec<Stored>>> {
    folder.0.list().await.map(Json)
}

/// Writes the files of a form to the folder while they arrive, and returns what was stored.
///
/// While a write waits for the disk, the handler reads no further, and so the client waits too.
async fn receive(folder: State<Folder>, mut form: Multipart) -> Result<(StatusCode, Json<Vec<Stored>>)> {
    let mut stored = Vec::new();
    while let Some(mut part) = form.next_part().await? {
        let Some(name) = part.file_name() else { continue };
        let file = folder.0.create(name).await?;
        while let Some(chunk) = part.chunk().await? {
            file.write(chunk).await?;
        }
        stored.push(file.keep().await?);
    }
    Ok((StatusCode::CREATED, Json(stored)))
}

/// Returns a handler for a file that is part of this program.
fn file(content_type: &'static str, text: &'static str) -> impl AsyncFn(&mut Context) -> Result<&'static str> {
    async move |cx: &mut Context| {
        cx.set_header("Content-Type", content_type)?;
        Ok(text)
    }
}

async fn security_headers(cx: &mut Context, next: Next<'_>) -> Result {
    cx.set_header("Content-Security-Policy", POLICY)?;
    cx.set_header("X-Content-Type-Options", "nosniff")?;
    next.run(cx).await;
    Ok(())
}

fn application(flags: &ApplicationFlags) -> Application {
    let upload_bytes = flags.max_upload_bytes;
    Application::new()
        .state(Folder::new(flags.dir.clone()))
        .state(Limits { upload_bytes })
        .middleware(security_headers)
        .get("/", page)
        .get("/page.css", file("text/css; charset=utf-8", include_str!("page.css")))
        .get(
            "/page.js",
            file("text/javascript; charset=utf-8", include_str!("page.js")),
        )
        .get("/icon.svg", file("image/svg+xml", include_str!("icon.svg")))
        .get("/limits", limits)
        .route("/files", get(list).post(receive).max_body_bytes(upload_bytes))
}

fn main() -> Result {
    let Flags {
        squall,
        application: flags,
    } = Flags::parse();
    Server::from_options(squall, move || application(&flags)).run()
}
