//! The futures of static files: each waits for the version of a large file that has just been written.

use std::fs;
use std::path::{Path, PathBuf};

use squall::StaticFiles;
use squall::prelude::*;

use crate::harness::{Running, ask, at_every_poll_here, dropped_after, numbered};

/// Larger than a file that is read into memory whole.
const FILE_BYTES: usize = 100 * 1024;

const NAME: &str = "large.bin";

fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cancelled-{test}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn serve(test: &str, path: &str) {
    let folder = folder(test);
    fs::write(folder.join(NAME), numbered(FILE_BYTES)).unwrap();
    let served = folder.clone();
    let server = Running::start(1, move || {
        let files = StaticFiles::new(&served);
        let own = (served.join(NAME), files.clone());
        Application::new()
            .route("/static/{*path}", files)
            .get("/urls", {
                let (file, _) = own.clone();
                async move |cx: &mut Context| drop_every_url(cx, &file).await
            })
            .get("/serve", async move |cx: &mut Context| {
                drop_every_serve(cx, &own.0, &own.1).await
            })
    });
    let mut connection = ask(server.address, &format!("GET {path} HTTP/1.1"));
    let response = connection.response("GET").unwrap();
    assert_eq!(response.status, 200, "{response:?}");
    if path != "/urls" {
        assert!(
            response.body == numbered(FILE_BYTES),
            "the last call serves the file whole"
        );
    }
    drop(server);
    fs::remove_dir_all(folder).unwrap();
}

/// Writes the file anew, so that its version is unknown.
fn write(file: &Path) {
    fs::write(file, numbered(FILE_BYTES)).unwrap();
}

async fn drop_every_url(cx: &Context, file: &Path) {
    let mut urls = Vec::new();
    at_every_poll_here(async |polls| {
        write(file);
        let url = dropped_after(polls, cx.static_url_with_version(NAME)).await;
        urls.push(cx.static_url_with_version(NAME).await.unwrap());
        url.is_some()
    })
    .await;
    assert!(
        urls.iter().all(|url| url.contains("?v=") && *url == urls[0]),
        "{urls:?}"
    );
}

async fn drop_every_serve(cx: &mut Context, file: &Path, files: &StaticFiles) {
    at_every_poll_here(async |polls| {
        write(file);
        let served = dropped_after(polls, files.serve(cx, NAME)).await;
        if served.is_none() {
            assert!(cx.response_headers().is_empty(), "a dropped call has written nothing");
        }
        served.is_some()
    })
    .await;
}

#[test]
fn a_versioned_url_is_asked_for_again_after_a_dropped_wait() {
    serve("urls", "/urls");
}

#[test]
fn a_static_file_whose_serve_is_dropped_is_not_part_of_the_response() {
    serve("serve", "/serve?v=00000000000000000000000000000000");
}
