//! Static files that are part of the program: the rules of paths, conditions and ranges, without a file system.

use squall::prelude::*;
use squall::routing::get;
use squall::{Routes, StaticFiles};

use crate::app_client::AppClient;

const FILES: [(&str, &[u8]); 6] = [
    ("app.css", b"body {}"),
    ("app.css.gz", b"gzipped"),
    ("docs/index.html", b"index"),
    ("docs/a b.txt", b"blank"),
    ("index.html", b"home"),
    ("fonts/a.woff2", b"font"),
];

fn client(files: StaticFiles) -> AppClient {
    AppClient::new(Application::new().route("/static/{*path}", files)).unwrap()
}

#[test]
fn files_in_the_program_are_served_by_the_same_rules() {
    let client = client(StaticFiles::embedded(FILES));
    let response = client.get("/static/app.css").send().unwrap();
    assert_eq!(
        (response.status(), response.body()),
        (StatusCode::OK, b"body {}".as_slice())
    );
    assert_eq!(response.header("content-type"), Some("text/css; charset=utf-8"));
    assert_eq!(response.header("vary"), Some("Accept-Encoding"));
    assert_eq!(response.header("last-modified"), None);
    let etag = response.header("etag").unwrap().to_owned();
    let unchanged = client
        .get("/static/app.css")
        .header("if-none-match", &etag)
        .send()
        .unwrap();
    assert_eq!(unchanged.status(), StatusCode::NOT_MODIFIED);
    let gzipped = client
        .get("/static/app.css")
        .header("accept-encoding", "gzip")
        .send()
        .unwrap();
    assert_eq!(gzipped.body(), b"gzipped");
    let part = client
        .get("/static/app.css")
        .header("range", "bytes=0-3")
        .send()
        .unwrap();
    assert_eq!(
        (part.status(), part.body()),
        (StatusCode::PARTIAL_CONTENT, b"body".as_slice())
    );
    for (path, status) in [
        ("/static/docs", StatusCode::MOVED_PERMANENTLY),
        ("/static/docs/", StatusCode::OK),
        ("/static/", StatusCode::OK),
        ("/static/docs/a%20b.txt", StatusCode::OK),
        ("/static/fonts", StatusCode::NOT_FOUND),
        ("/static/fonts/", StatusCode::NOT_FOUND),
        ("/static/app.css/", StatusCode::NOT_FOUND),
        ("/static/docs/../app.css", StatusCode::NOT_FOUND),
        ("/static/missing", StatusCode::NOT_FOUND),
        ("/static", StatusCode::NOT_FOUND),
    ] {
        assert_eq!(client.get(path).send().unwrap().status(), status, "{path}");
    }
}

#[test]
fn the_hooks_decide_who_reads_what_and_how_long_it_is_stored() {
    let files = StaticFiles::embedded(FILES)
        .index("default.html")
        .cache_control("*.woff2", "public, max-age=86400")
        .cache_control("docs/*", "private")
        .guard(|cx, path| match cx.header("x-user") {
            None if path.starts_with("docs/") => Err(HttpError::new(403).into()),
            _ => Ok(()),
        })
        .extra_headers(|path, headers| {
            if path.ends_with(".css") {
                headers.set(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            }
        });
    let client = client(files);
    let css = client.get("/static/app.css").send().unwrap();
    assert_eq!(css.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(css.header("cache-control"), Some("no-cache"));
    let font = client.get("/static/fonts/a.woff2").send().unwrap();
    assert_eq!(font.header("cache-control"), Some("public, max-age=86400"));
    assert_eq!(font.header("x-content-type-options"), None);
    assert_eq!(
        client.get("/static/docs/a%20b.txt").send().unwrap().status(),
        StatusCode::FORBIDDEN
    );
    let allowed = client
        .get("/static/docs/a%20b.txt")
        .header("x-user", "ada")
        .send()
        .unwrap();
    assert_eq!(
        (allowed.status(), allowed.header("cache-control")),
        (StatusCode::OK, Some("private"))
    );
    // The index has another name.
    assert_eq!(client.get("/static/").send().unwrap().status(), StatusCode::NOT_FOUND);
}

#[test]
fn urls_have_the_version_of_the_first_static_route() {
    async fn url(cx: &mut Context) -> Result<String> {
        let path: String = cx.query_param("path")?;
        let url = cx.static_url(&path)?;
        assert_eq!(url, cx.static_url_with_version(&path).await?);
        Ok(url)
    }
    let assets = Routes::new().route("/{*path}", StaticFiles::embedded(FILES));
    let other = Routes::new().route("/{*path}", StaticFiles::embedded([]));
    let application = Application::new()
        .host("other.example", other)
        .route(
            "/robots.txt",
            StaticFiles::embedded([("robots.txt", b"robots".as_slice())]),
        )
        .nest("/assets", assets)
        .route("/url", get(url));
    let client = AppClient::new(application).unwrap();
    let text = |target: &str| client.get(target).send().unwrap().text();
    let versioned = text("/url?path=app.css");
    assert!(versioned.starts_with("/assets/app.css?v="), "{versioned}");
    let response = client.get(&versioned).send().unwrap();
    assert_eq!(response.body(), b"body {}");
    assert_eq!(
        response.header("cache-control"),
        Some("public, max-age=31536000, immutable")
    );
    assert_eq!(text("/url?path=missing.css"), "/assets/missing.css");
    assert_eq!(client.get("/robots.txt").send().unwrap().body(), b"robots");
    let none = AppClient::new(Application::new().route("/url", get(url))).unwrap();
    assert_eq!(
        none.get("/url?path=a").send().unwrap().status(),
        StatusCode::INTERNAL_SERVER_ERROR
    );
}

#[test]
fn a_directory_needs_a_server() {
    let client = client(StaticFiles::new("docs"));
    assert_eq!(
        client.get("/static/threats.md").send().unwrap().status(),
        StatusCode::INTERNAL_SERVER_ERROR
    );
}

#[test]
fn a_route_of_the_application_comes_before_the_directory_of_static_files() {
    async fn home(_: &mut Context) -> &'static str {
        "application"
    }
    let application = Application::new()
        .get("/", home)
        .route("/{*path}", StaticFiles::embedded(FILES));
    let client = AppClient::new(application).unwrap();
    assert_eq!(client.get("/").send().unwrap().body(), b"application");
    assert_eq!(client.get("/docs/").send().unwrap().body(), b"index");
    let fallback = Application::new().get("/", home).fallback(StaticFiles::embedded(FILES));
    let client = AppClient::new(fallback).unwrap();
    assert_eq!(client.get("/docs/").send().unwrap().body(), b"index");
    assert_eq!(
        client.request(Method::POST, "/app.css").send().unwrap().status(),
        StatusCode::METHOD_NOT_ALLOWED
    );
}
