//! What the client sends.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use squall::Bytes;
use squall::client::{Client, FetchFailure, Request};
use squall::message::{Body, Headers, Method};

use crate::harness::{Origin, error, ok, on_shard, text};

/// A server that answers with the head and the content of the request.
fn echo() -> Origin {
    Origin::answering(|seen| {
        let content = [seen.head.as_bytes(), b"\n\n", &seen.content].concat();
        (ok(&content), true)
    })
}

/// Sends requests to the echo and checks what it read.
fn check(begin: impl Fn(&Client, &str) -> Request + Send + Sync + 'static, expected: &'static str) {
    let begin = std::sync::Arc::new(begin);
    let origin = echo();
    let url = origin.url("");
    let host = origin.address;
    on_shard(move || {
        let (url, begin) = (url.clone(), std::sync::Arc::clone(&begin));
        async move {
            let client = Client::builder().user_agent("test").decompress(false).build().unwrap();
            let seen = text(begin(&client, &url).send()).await.replace("\r\n", "\n");
            let common = format!("host: {host}\nuser-agent: test\naccept: */*\n");
            assert_eq!(seen.replace(&common, "COMMON\n"), expected);
        }
    });
}

#[test]
fn a_request_has_the_fields_that_servers_expect() {
    check(
        |client, url| client.get(&format!("{url}/a b?c=d#e")),
        "GET /a%20b?c=d HTTP/1.1\nCOMMON\n\n",
    );
    check(
        |client, url| client.post(url),
        "POST / HTTP/1.1\nCOMMON\ncontent-length: 0\n\n",
    );
    check(
        |client, url| {
            client
                .request(Method::DELETE, url)
                .header("X-A", "b")
                .header("x-a", "c")
        },
        "DELETE / HTTP/1.1\nCOMMON\nx-a: b\nx-a: c\n\n",
    );
    check(
        |client, url| {
            client
                .get(url)
                .bearer_auth("t")
                .header("accept", "text/html")
                .header("host", "b")
        },
        "GET / HTTP/1.1\nhost: b\nuser-agent: test\nauthorization: Bearer t\naccept: text/html\n\n",
    );
}

#[derive(Serialize)]
struct Page {
    number: u32,
    tags: Vec<&'static str>,
}

#[test]
fn values_become_json_forms_and_queries() {
    let page = || Page {
        number: 7,
        tags: vec!["a b", "&"],
    };
    check(
        move |client, url| client.post(url).json(&page()),
        "POST / HTTP/1.1\nCOMMON\ncontent-type: application/json\ncontent-length: 31\n\n{\"number\":7,\"tags\":[\"a b\",\"&\"]}",
    );
    check(
        move |client, url| client.put(url).form(&page()),
        "PUT / HTTP/1.1\nCOMMON\ncontent-type: application/x-www-form-urlencoded\ncontent-length: 26\n\n\
         number=7&tags=a+b&tags=%26",
    );
    check(
        move |client, url| client.get(&format!("{url}/?x=y")).query(&page()),
        "GET /?x=y&number=7&tags=a+b&tags=%26 HTTP/1.1\nCOMMON\n\n",
    );
}

#[test]
fn a_stream_is_sent_in_chunks_or_with_the_length_that_the_application_knows() {
    let pieces = || {
        let pieces = ["he", "", "llo"].map(|piece| Ok::<_, std::io::Error>(Bytes::from_static(piece.as_bytes())));
        Body::stream(futures_util::stream::iter(pieces))
    };
    check(
        move |client, url| client.post(url).body(pieces()),
        "POST / HTTP/1.1\nCOMMON\ntransfer-encoding: chunked\n\nhello",
    );
    check(
        move |client, url| client.post(url).header("content-length", "5").body(pieces()),
        "POST / HTTP/1.1\nCOMMON\ncontent-length: 5\n\nhello",
    );
    let origin = echo();
    let url = origin.url("/");
    on_shard(move || {
        let url = url.clone();
        async move {
            for (length, said) in [("4", "more content"), ("6", "less content")] {
                let request = Client::new().post(&url).header("content-length", length).body(pieces());
                let failed = error(request.send()).await;
                assert!(failed.to_string().contains(said), "{failed}");
            }
            let broken = futures_util::stream::iter([Err::<Bytes, _>("the disk is full")]);
            let failed = error(Client::new().post(&url).body(Body::stream(broken)).send()).await;
            assert!(failed.to_string().contains("the disk is full"), "{failed}");
        }
    });
}

#[test]
fn mistakes_are_errors_of_the_call_that_sends() {
    on_shard(|| async {
        let client = Client::new();
        let get = |url: &str| client.get(url);
        for (request, said) in [
            (get(""), "URL is invalid"),
            (get("/path"), "URL is invalid"),
            (get("ftp://a/"), "the scheme is ftp"),
            (get("http://a:66000/"), "URL is invalid"),
            (get("http://a/").header("connection", "x"), "belongs to the connection"),
            (
                get("http://a/").header("Transfer-Encoding", "chunked"),
                "belongs to the connection",
            ),
            (get("http://a/").header("a b", "c"), "the field a b has a byte"),
            (get("http://a/").header("a", "b\r\nc: d"), "the field a has a byte"),
            (get("http://a/").basic_auth("a:b", ""), "authorization"),
            (get("http://a/").query(&1), "does not encode"),
            (
                client.request(Method::CONNECT, "http://127.0.0.1:1/"),
                "could not connect",
            ),
        ] {
            let failed = error(request.send()).await;
            assert!(failed.to_string().contains(said), "{failed}");
        }
        let failed = error(get("http://u:secret@127.0.0.1:1/p?token=x").send()).await;
        assert!(failed.is_connect(), "{failed}");
        assert!(
            !failed.to_string().contains("secret") && !failed.to_string().contains("token"),
            "{failed}"
        );
        assert!(matches!(failed.failure(), FetchFailure::Connect(_)));
    });
}

#[test]
fn a_fetch_needs_a_shard() {
    let sent = futures_util::FutureExt::now_or_never(Request::get("http://127.0.0.1:1/").send());
    let failed = sent.unwrap().unwrap_err();
    assert!(matches!(failed.failure(), FetchFailure::NoShard), "{failed}");
}

#[derive(Deserialize)]
struct Answer {
    sum: u32,
}

#[test]
fn a_response_is_read_as_json_or_text() {
    let origin = Origin::answering(|seen| match seen.path() {
        "/json" => (ok(b"{\"sum\": 7}"), true),
        "/binary" => (ok(b"\xff"), true),
        _ => (
            b"HTTP/1.1 404 Not Here\r\nContent-Length: 0\r\nX-A: b\r\n\r\n".to_vec(),
            true,
        ),
    });
    let url = origin.url("");
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = Client::new();
            let get = |path: &str| {
                client
                    .get(&format!("{url}{path}"))
                    .timeout(Duration::from_secs(60))
                    .send()
            };
            let answer: Answer = get("/json").await.unwrap().json().await.unwrap();
            assert_eq!(answer.sum, 7);
            let failed = get("/json").await.unwrap().json::<Vec<u32>>().await.unwrap_err();
            assert!(failed.to_string().contains("not the expected JSON"), "{failed}");
            let failed = get("/binary").await.unwrap().text().await.unwrap_err();
            assert!(failed.to_string().contains("not UTF-8"), "{failed}");
            let response = get("/none").await.unwrap();
            assert_eq!((response.status().as_u16(), response.header("x-A")), (404, Some("b")));
            assert_eq!(response.head().reason.as_ref().unwrap().as_str(), "Not Here");
            let failed = response.error_for_status().unwrap_err();
            assert_eq!(failed.status().unwrap(), 404);
            let mut fields = Headers::new();
            fields.add(http::header::ACCEPT, http::HeaderValue::from_static("x"));
            assert_eq!(
                client
                    .get(&format!("{url}/none"))
                    .headers(&fields)
                    .send()
                    .await
                    .unwrap()
                    .status(),
                404
            );
        }
    });
    assert_eq!(origin.connections(), 1);
}
