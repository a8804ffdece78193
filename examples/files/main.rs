//! A static file server, usable as it is: serves a directory at `/`.
//!
//! ```text
//! cargo run --release --example files -- public
//! cargo run --release --example files -- public --list --listen :8080
//! ```

use std::path::PathBuf;

use clap::Parser;
use squall::prelude::*;
use squall::{Options, StaticFiles};

/// Serves the files of a directory. A time is a number of seconds, or a number with a unit: 0.5, 250ms, 50us, 2m. BYTES may have
/// a unit too: 65536, 64K, 10M, 1G.
#[derive(Debug, Parser)]
#[command(max_term_width = 110)]
struct Flags {
    /// Serves this directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Lists directories that have no index.html
    #[arg(long)]
    list: bool,
    /// Answers missing paths with this file, as single-page applications need
    #[arg(long, value_name = "FILE")]
    fallback: Option<String>,
    #[command(flatten)]
    squall: Options,
}

fn main() -> Result {
    let Flags {
        directory,
        list,
        fallback,
        squall,
    } = Flags::parse();
    Server::from_options(squall, move || {
        let mut files = StaticFiles::new(&directory).list_directories(list);
        if let Some(fallback) = &fallback {
            files = files.fallback(fallback);
        }
        Application::new().route("/{*path}", files)
    })
    .run()
}
