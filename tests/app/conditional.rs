//! Automatic entity tags, and preconditions of pages.

use crate::app_client::AppClient;
use squall::middleware::{Compression, etag};
use squall::prelude::*;

fn client() -> AppClient {
    let routes = Application::new()
        .middleware(etag)
        .get("/", async |cx: &mut Context| -> Result<Html<String>> {
            cx.set_header("content-language", "en")?;
            cx.set_header("cache-control", "max-age=60")?;
            cx.set_header("x-page", "1")?;
            cx.cookies().set(Cookie::new("a", "b"))?;
            Ok(Html("<h1>Hello</h1>".repeat(10_000)))
        })
        .get("/empty", async |_: &mut Context| ())
        .get("/own/{*tag}", async |cx: &mut Context| -> Result<&'static str> {
            let tag: String = cx.param("tag")?;
            cx.set_header("etag", tag.as_str())?;
            Ok("own")
        })
        .get("/dated", async |cx: &mut Context| -> Result<&'static str> {
            cx.set_header("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")?;
            cx.set_header("etag", "broken")?;
            Ok("dated")
        })
        .get("/secret", async |cx: &mut Context| -> Result<&'static str> {
            cx.set_header("cache-control", "private, No-Store")?;
            Ok("secret")
        })
        .get("/created", async |_: &mut Context| (StatusCode::CREATED, "made"))
        .get("/fails", async |_: &mut Context| HttpError::new(500))
        .get("/flushed", async |cx: &mut Context| -> Result {
            cx.write("flushed");
            cx.flush().await
        })
        .post("/", async |_: &mut Context| "posted");
    AppClient::new(routes).unwrap()
}

#[test]
fn a_page_has_a_strong_tag_of_its_content() {
    let client = client();
    let page = client.get("/").send().unwrap();
    let tag = page.header("etag").unwrap().to_owned();
    assert!(tag.len() == 34 && tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    assert_eq!(client.get("/").send().unwrap().header("etag"), Some(&*tag));
    assert_eq!(client.head("/").send().unwrap().header("etag"), Some(&*tag));
    assert!(
        client
            .get("/empty")
            .send()
            .unwrap()
            .header("etag")
            .is_some_and(|other| other != tag)
    );
    for target in ["/secret", "/created", "/fails", "/flushed", "/nowhere"] {
        assert_eq!(client.get(target).send().unwrap().header("etag"), None, "{target}");
    }
    assert_eq!(client.post("/").send().unwrap().header("etag"), None);
}

/// RFC 9110 §15.4.5: a 304 has the fields that guide caches, and none that describe content.
#[test]
fn a_client_with_the_page_gets_304() {
    let client = client();
    let tag = client.get("/").send().unwrap().header("etag").unwrap().to_owned();
    for value in [
        tag.clone(),
        format!("W/{tag}"),
        format!("\"other\", {tag}"),
        "*".to_owned(),
    ] {
        for request in [client.get("/"), client.head("/")] {
            let response = request.header("if-none-match", &value).send().unwrap();
            assert_eq!(
                (response.status().as_u16(), response.body()),
                (304, &b""[..]),
                "{value}"
            );
            assert_eq!(response.header("etag"), Some(&*tag));
            for (name, expected) in [
                ("cache-control", Some("max-age=60")),
                ("x-page", Some("1")),
                ("content-type", None),
                ("content-length", None),
                ("content-language", None),
            ] {
                assert_eq!(response.header(name), expected, "{name}");
            }
            assert!(response.header("set-cookie").is_some());
        }
    }
    for value in ["\"other\"", &tag[1..33], ""] {
        assert_eq!(
            client.get("/").header("if-none-match", value).send().unwrap().status(),
            200,
            "{value}"
        );
    }
    let date = "Fri, 01 Jan 2100 00:00:00 GMT";
    let dated = client.get("/").header("if-modified-since", date).send().unwrap();
    assert_eq!(dated.status(), 200, "the page has no date");
}

#[test]
fn preconditions_of_the_other_fields_hold() {
    let client = client();
    let tag = client.get("/").send().unwrap().header("etag").unwrap().to_owned();
    assert_eq!(client.get("/").header("if-match", &tag).send().unwrap().status(), 200);
    let failed = client.get("/").header("if-match", "\"other\"").send().unwrap();
    assert_eq!(
        (failed.status().as_u16(), &*failed.text()),
        (412, "412 Precondition Failed\n")
    );
    for (date, status) in [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 304),
        ("Sun, 06 Nov 1994 08:49:36 GMT", 200),
        ("yesterday", 200),
    ] {
        let response = client.get("/dated").header("if-modified-since", date).send().unwrap();
        assert_eq!(response.status(), status, "{date}");
    }
}

/// The table of Tornado's `CacheTest`.
#[test]
fn a_tag_of_the_handler_counts() {
    let client = client();
    for (own, value, status) in [
        ("\"xyzzy1\"", "*", 304),
        ("\"xyzzy1\"", "\"xyzzy1\"", 304),
        ("\"xyzzy1\"", "\"xyzzy1\", \"xyzzy2\"", 304),
        ("\"xyzzy3\"", "\"xyzzy1\", \"xyzzy2\"", 200),
        ("\"xyzzy1\"", "W/\"xyzzy1\"", 304),
        ("\"xyzzy2\"", "W/\"xyzzy1\", W/\"xyzzy2\"", 304),
        ("\"xyzzy3\"", "W/\"xyzzy1\", W/\"xyzzy2\"", 200),
    ] {
        let target = format!("/own/{}", own.replace('"', "%22"));
        let response = client.get(&target).header("if-none-match", value).send().unwrap();
        assert_eq!(
            (response.status().as_u16(), response.header("etag")),
            (status, Some(own)),
            "{value}"
        );
    }
}

/// A tag of compressed content is weak, whichever of the two middlewares is further out for a 304.
#[test]
fn the_tag_of_compressed_content_is_weak() {
    let routes = Application::new()
        .middleware(Compression::new())
        .middleware(etag)
        .get("/", async |_: &mut Context| "x".repeat(5000));
    let client = AppClient::new(routes).unwrap();
    let strong = client.get("/").send().unwrap().header("etag").unwrap().to_owned();
    let page = client.get("/").header("accept-encoding", "gzip").send().unwrap();
    let weak = page.header("etag").unwrap().to_owned();
    assert_eq!(weak, format!("W/{strong}"));
    for (accepted, expected) in [("gzip", &weak), ("", &strong)] {
        let request = client.get("/").header("accept-encoding", accepted);
        let response = request.header("if-none-match", &weak).send().unwrap();
        assert_eq!(
            (response.status().as_u16(), response.header("etag")),
            (304, Some(&**expected))
        );
        assert_eq!(response.header("vary"), Some("Accept-Encoding"));
        assert_eq!(response.header("content-encoding"), None);
    }
}
