//! Pages: fields, redirects, flushes, errors, validators, compression, slashes.

use std::io::Read as _;

use flate2::read::GzDecoder;
use squall::middleware::{Compression, add_slash, etag, remove_slash};
use squall::prelude::*;
use squall::routing::{get, post as on_post, redirect};
use squall::{Finish, StaticFiles};

use crate::support::response::{Framing, Response};
use crate::support::running::Running;
use crate::{ask, field};

/// Finishes in `prepare`, so its method never runs.
struct Prepared;

impl RequestHandler for Prepared {
    async fn prepare(&self, cx: &mut Context) -> Result {
        cx.write("done");
        cx.finish();
        Ok(())
    }

    async fn get(&self, cx: &mut Context) -> Result {
        cx.write("not reached");
        Ok(())
    }
}

/// Refuses before it reads any content.
struct Denying;

impl RequestHandler for Denying {
    async fn prepare(&self, _: &mut Context) -> Result {
        Err(HttpError::new(401).into())
    }

    async fn post(&self, cx: &mut Context) -> Result {
        cx.body().await.map(drop)
    }
}

async fn redirect_home(cx: &mut Context) -> Result<Redirect> {
    let permanent: Option<u8> = cx.optional_query_param("permanent")?;
    let status: Option<u16> = cx.optional_query_param("status")?;
    Ok(match (permanent, status) {
        (Some(1), _) => Redirect::moved("/"),
        (_, Some(307)) => Redirect::temporary("/"),
        _ => Redirect::found("/"),
    })
}

async fn fields(cx: &mut Context) -> Result {
    cx.set_header("X-Over", "first")?;
    cx.set_header("X-Over", "last")?;
    cx.add_header("X-Multi", "3")?;
    cx.add_header("X-Multi", "4")?;
    cx.set_header("X-Gone", "x")?;
    cx.clear_header("X-Gone");
    Ok(())
}

async fn flushes(cx: &mut Context) -> Result {
    cx.flush().await?;
    cx.flush().await?;
    cx.write("o");
    cx.flush().await?;
    cx.flush().await?;
    cx.write("k");
    Ok(())
}

async fn fail(cx: &mut Context) -> Result {
    let error = HttpError::new(cx.query_param::<u16>("code")?);
    Err(match cx.optional_query_param::<String>("reason")? {
        Some(reason) => error.with_reason(reason).into(),
        None => error.into(),
    })
}

async fn finish(cx: &mut Context) -> Result {
    cx.set_status(401);
    cx.set_header("WWW-Authenticate", "Basic realm=\"x\"")?;
    cx.write("no");
    Err(Finish)?
}

async fn tagged(cx: &mut Context) -> Result {
    let tag: String = cx.param("tag")?;
    cx.set_header("ETag", tag.as_str())?;
    Ok(())
}

async fn hello(cx: &mut Context) -> Result<&'static str> {
    cx.set_header("Content-Language", "en_US")?;
    Ok("hello")
}

async fn long_text(cx: &mut Context) -> Result<String> {
    for value in cx.query_params::<String>("vary")? {
        cx.add_header("Vary", value.as_str())?;
    }
    Ok("hello world".repeat(100))
}

/// Announces another length than that of its content, as a mistake of an application.
async fn wrong_length(cx: &mut Context, length: &str, flushes: bool) -> Result {
    cx.set_header("Content-Length", length)?;
    cx.write("ok");
    if flushes {
        cx.flush().await?;
        cx.write("more than 2");
    }
    Ok(())
}

fn start() -> Running {
    Running::start(1, || {
        let files = StaticFiles::embedded([("a.txt", [b'x'; 2000].as_slice())]);
        let compressed = Routes::new()
            .middleware(Compression::new())
            .get("/text", long_text)
            .route("/files/{*path}", files);
        let answer = async |cx: &mut Context| cx.write(cx.path().to_owned());
        Application::new()
            .get("/headers", fields)
            .get("/redirect", redirect_home)
            .route("/src", redirect("/dst"))
            .route("/src2", redirect("/dst2?foo=bar"))
            .route("/r/{a}/{b}/{c}", redirect("/{b}/{a}/{c}"))
            .get("/flushes", flushes)
            .get("/crash", async |_: &mut Context| -> Result {
                Err(Error::new("a mistake"))
            })
            .get("/err", fail)
            .get("/s204", async |_: &mut Context| StatusCode::NO_CONTENT)
            .route("/tag", get(hello).middleware(etag))
            .route("/etag/{tag}", get(tagged).middleware(etag))
            .nest("/compressed", compressed)
            .route("/prepare", Prepared)
            .get("/finish", finish)
            .route("/deny", Denying)
            .get("/cl/high", async |cx: &mut Context| wrong_length(cx, "42", false).await)
            .get("/cl/low", async |cx: &mut Context| wrong_length(cx, "2", true).await)
            .route("/upload", on_post(async |cx: &mut Context| cx.body().await))
            .route("/rm", get(answer).middleware(remove_slash))
            .route("/rm/", get(answer).middleware(remove_slash))
            .route("/add", get(answer).middleware(add_slash))
            .route("/add/", get(answer).middleware(add_slash))
    })
}

fn lines<'r>(response: &'r Response, name: &str) -> Vec<&'r [u8]> {
    let named = response.fields.iter().filter(|(other, _)| other == name);
    named.map(|(_, value)| value.as_slice()).collect()
}

/// `WSGISafeWebTest.test_multi_header`, `ClearHeaderTest`.
#[test]
fn fields_are_replaced_added_and_cleared() {
    let response = ask(&start(), "GET", "/headers", "");
    assert_eq!(field(&response, "x-over"), "last");
    assert_eq!(lines(&response, "x-multi"), [b"3", b"4"]);
    assert_eq!(response.field("x-gone"), None);
}

/// `WSGISafeWebTest.test_redirect`, `.test_web_redirect`, `RedirectHandlerTest`.
#[test]
fn redirects_have_their_status_and_keep_the_query() {
    let server = start();
    for (target, status, location) in [
        ("/redirect?permanent=1", 301, "/"),
        ("/redirect?permanent=0", 302, "/"),
        ("/redirect?status=307", 307, "/"),
        ("/src", 301, "/dst"),
        ("/src?foo=bar", 301, "/dst?foo=bar"),
        ("/src2?foo2=bar2", 301, "/dst2?foo=bar&foo2=bar2"),
        ("/r/a/b/c", 301, "/b/a/c"),
    ] {
        let response = ask(&server, "GET", target, "");
        assert_eq!(
            (response.status, field(&response, "location")),
            (status, location),
            "{target}"
        );
    }
}

/// `NonWSGIWebTests.test_empty_flush`.
#[test]
fn a_flush_of_nothing_ends_nothing() {
    let response = ask(&start(), "GET", "/flushes", "");
    response.expect(200, b"ok").unwrap();
    assert_eq!(response.framing, Framing::Chunked);
}

/// `ErrorResponseTest.test_default`, `Default404Test.test_404`.
#[test]
fn errors_have_pages_that_name_their_status() {
    let server = start();
    for (target, status) in [
        ("/crash", 500),
        ("/err?code=503", 503),
        ("/err?code=435", 435),
        ("/nowhere", 404),
    ] {
        let response = ask(&server, "GET", target, "");
        assert_eq!(response.status, status, "{target}");
        assert!(field(&response, "content-type").starts_with("text/html"), "{target}");
        let page = String::from_utf8(response.body).unwrap();
        assert!(
            page.contains(&status.to_string()) && !page.contains("a mistake"),
            "{page}"
        );
    }
}

/// `StatusReasonTest`, `RaiseWithReasonTest`.
#[test]
fn a_reason_neither_breaks_the_head_nor_the_page() {
    let server = start();
    let unmodified = ask(&server, "GET", "/err?code=304", "");
    assert_eq!((unmodified.status, unmodified.body.len()), (304, 0));
    // The parser of these tests takes the registered classes alone, so this one reads the line itself.
    for (target, line) in [
        ("/err?code=682&reason=Bar", "HTTP/1.1 682 Bar\r\n"),
        ("/err?code=682", "HTTP/1.1 682 "),
    ] {
        let mut connection = server.connection();
        connection
            .send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
            .unwrap();
        let head = String::from_utf8(connection.some().unwrap()).unwrap();
        assert!(head.starts_with(line), "{head}");
    }
    let injected = ask(&server, "GET", "/err?code=400&reason=OK%0D%0AX-Inj:1", "");
    assert_eq!((injected.status, injected.field("x-inj")), (400, None));
    let mut connection = server.connection();
    connection
        .send(b"GET /err?code=400&reason=%3Cscript%3E HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    let page = connection.response("GET").unwrap();
    assert!(!String::from_utf8(page.body).unwrap().contains("<script>"));
}

/// `Header204Test`, `Header304Test`.
#[test]
fn a_204_and_a_304_have_no_field_about_content() {
    let server = start();
    let empty = ask(&server, "GET", "/s204", "");
    assert_eq!((empty.status, empty.framing), (204, Framing::None));
    let page = ask(&server, "GET", "/tag", "");
    assert_eq!(
        (field(&page, "content-length"), field(&page, "content-language")),
        ("5", "en_US")
    );
    let unmodified = ask(
        &server,
        "GET",
        "/tag",
        &format!("If-None-Match: {}\r\n", field(&page, "etag")),
    );
    assert_eq!(unmodified.status, 304);
    for name in ["content-length", "content-language", "transfer-encoding"] {
        assert_eq!(unmodified.field(name), None, "{name}");
    }
}

/// `CacheTest`.
#[test]
fn if_none_match_compares_weakly() {
    let server = start();
    for (value, status) in [
        ("*", 304),
        ("\"xyzzy1\"", 304),
        ("\"xyzzy1\", \"xyzzy2\"", 304),
        ("\"xyzzy2\"", 200),
        ("W/\"xyzzy1\"", 304),
        ("W/\"xyzzy2\", W/\"xyzzy1\"", 304),
        ("W/\"xyzzy2\"", 200),
    ] {
        let response = ask(
            &server,
            "GET",
            "/etag/%22xyzzy1%22",
            &format!("If-None-Match: {value}\r\n"),
        );
        assert_eq!(response.status, status, "{value}");
    }
}

/// `GzipTestCase`.
#[test]
fn text_is_compressed_and_varies() {
    let server = start();
    let gzip = "Accept-Encoding: gzip\r\n";
    for (query, fields, coding, vary) in [
        ("", gzip, "gzip", &["accept-encoding"][..]),
        ("", "", "", &["accept-encoding"]),
        (
            "?vary=Accept-Language",
            gzip,
            "gzip",
            &["accept-language", "accept-encoding"],
        ),
        (
            "?vary=Accept-Language&vary=Cookie",
            gzip,
            "gzip",
            &["accept-language", "cookie", "accept-encoding"],
        ),
    ] {
        let response = ask(&server, "GET", &format!("/compressed/text{query}"), fields);
        assert_eq!(field(&response, "content-encoding"), coding, "{query}");
        assert_eq!(response.list("vary"), vary, "{query}");
        let mut text = String::new();
        match coding {
            "" => text.push_str(std::str::from_utf8(&response.body).unwrap()),
            _ => drop(
                GzDecoder::new(response.body.as_slice())
                    .read_to_string(&mut text)
                    .unwrap(),
            ),
        }
        assert_eq!(text, "hello world".repeat(100));
    }
    let file = ask(&server, "GET", "/compressed/files/a.txt", gzip);
    assert_eq!((file.status, field(&file, "content-encoding")), (200, "gzip"));
}

/// `FinishInPrepareTest`, `FinishExceptionTest`.
#[test]
fn a_handler_ends_early_with_what_it_has_written() {
    let server = start();
    ask(&server, "GET", "/prepare", "").expect(200, b"done").unwrap();
    let refused = ask(&server, "GET", "/finish", "");
    refused.expect(401, b"no").unwrap();
    assert_eq!(field(&refused, "www-authenticate"), "Basic realm=\"x\"");
}

/// `StreamingRequestBodyTest.test_early_return`, `.test_early_return_with_data`.
#[test]
fn a_refusal_comes_before_the_content_and_the_rest_is_not_waited_for() {
    let server = start();
    for chunk in ["", "4\r\nasdf\r\n"] {
        let mut connection = server.connection();
        let head = format!("POST /deny HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}");
        connection.send(head.as_bytes()).unwrap();
        connection.response("POST").unwrap().expect_status(401).unwrap();
    }
}

/// `IncorrectContentLengthTest`. Before the head is sent Squall answers 500; behind it, it cuts the connection.
#[test]
fn content_of_another_length_than_announced_is_never_a_whole_response() {
    let server = start();
    assert_eq!(ask(&server, "GET", "/cl/high", "").status, 500);
    let mut connection = server.connection();
    connection.tolerate_reset();
    connection.send(b"GET /cl/low HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let first = connection.response("GET").unwrap();
    assert!(first.status == 500 || first.body == b"ok", "{first:?}");
    assert!(
        first.status == 500 || connection.is_at_end().unwrap(),
        "the connection is cut"
    );
}

/// `DecoratorTest`.
#[test]
fn slashes_are_removed_and_added() {
    let server = start();
    for (target, location) in [
        ("/rm/", "/rm"),
        ("/rm/?foo=bar", "/rm?foo=bar"),
        ("/add", "/add/"),
        ("/add?foo=bar", "/add/?foo=bar"),
    ] {
        let response = ask(&server, "GET", target, "");
        assert_eq!(
            (response.status, field(&response, "location")),
            (301, location),
            "{target}"
        );
    }
}
