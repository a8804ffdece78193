//! Redirects (RFC 9110 §15.4).

use squall::Bytes;
use squall::client::{Client, FetchFailure};
use squall::message::Body;

use crate::harness::{Origin, Seen, error, ok, on_shard, text};

/// A redirect with this status to this location.
fn redirect(status: u16, location: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} Elsewhere\r\nLocation: {location}\r\nContent-Length: 4\r\n\r\ngone").into_bytes()
}

/// What the server has read: the method, the path, the content and the credentials.
fn echo(seen: &Seen) -> Vec<u8> {
    let content = String::from_utf8_lossy(&seen.content);
    let authorization = seen.field("authorization").unwrap_or("-");
    let cookie = seen.field("cookie").unwrap_or("-");
    let media_type = seen.field("content-type").unwrap_or("-");
    ok(format!("{} {content} {media_type} {authorization} {cookie}", seen.line()).as_bytes())
}

/// A server whose paths `/STATUS/…` redirect to `/…`.
fn redirecting() -> Origin {
    Origin::answering(|seen| {
        let path = seen.path().trim_start_matches('/');
        let (status, rest) = path.split_once('/').unwrap_or((path, ""));
        match status.parse() {
            Ok(status) => (redirect(status, &format!("/{rest}")), true),
            Err(_) => (echo(seen), true),
        }
    })
}

#[test]
fn redirects_are_followed_on_the_same_connection() {
    let origin = redirecting();
    let url = origin.url("");
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = Client::new();
            let response = client
                .get(&format!("{url}/301/302/303/307/308/end?a=b"))
                .send()
                .await
                .unwrap();
            assert_eq!(response.url(), format!("{url}/end?a=b"));
            assert_eq!(response.text().await.unwrap(), "GET /end?a=b HTTP/1.1  - - -");
            for (status, expected) in [
                (301, "GET /end HTTP/1.1  - u -"),
                (302, "GET /end HTTP/1.1  - u -"),
                (303, "GET /end HTTP/1.1  - u -"),
                (307, "POST /end HTTP/1.1 {} application/json u -"),
                (308, "POST /end HTTP/1.1 {} application/json u -"),
            ] {
                let post = client.post(&format!("{url}/{status}/end")).json(&serde_json::json!({}));
                let sent = post.header("authorization", "u").send();
                assert_eq!(text(sent).await, expected, "{status}");
            }
        }
    });
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_loop_ends_at_the_limit() {
    let origin = Origin::answering(|_| (redirect(302, "/"), true));
    let url = origin.url("/");
    on_shard(move || {
        let url = url.clone();
        async move {
            let failed = error(Client::new().get(&url).send()).await;
            assert!(
                matches!(failed.failure(), FetchFailure::TooManyRedirects(5)),
                "{failed}"
            );
            let client = Client::builder().max_redirects(0).build().unwrap();
            let response = client.get(&url).send().await.unwrap();
            assert_eq!(
                (response.status().as_u16(), response.header("location")),
                (302, Some("/"))
            );
        }
    });
    assert_eq!(origin.connections(), 2);
}

#[test]
fn credentials_stay_on_their_origin() {
    let elsewhere = Origin::answering(|seen| (echo(seen), true));
    let location = elsewhere.url("/there");
    let origin = Origin::answering(move |seen| match seen.path() {
        "/stay" => (redirect(302, "/here"), true),
        "/here" => (echo(seen), true),
        _ => (redirect(307, &location), true),
    });
    let url = origin.url("");
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = Client::new();
            let begin = |path: &str| {
                let request = client.post(&format!("{url}{path}")).body("x");
                request.basic_auth("u", "p").header("cookie", "a=b").send()
            };
            assert_eq!(text(begin("/stay")).await, "GET /here HTTP/1.1  - Basic dTpw a=b");
            assert_eq!(text(begin("/go")).await, "POST /there HTTP/1.1 x - - -");
        }
    });
}

#[test]
fn a_stream_follows_only_redirects_that_drop_it() {
    let origin = redirecting();
    let url = origin.url("");
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = Client::new();
            let stream = || {
                let pieces = [Ok::<_, std::io::Error>(Bytes::from_static(b"x"))];
                Body::stream(futures_util::stream::iter(pieces))
            };
            let seen = text(client.post(&format!("{url}/303/end")).body(stream()).send()).await;
            assert_eq!(seen, "GET /end HTTP/1.1  - - -");
            let failed = error(client.post(&format!("{url}/307/end")).body(stream()).send()).await;
            assert!(
                failed.to_string().contains("a stream, which can be sent once"),
                "{failed}"
            );
        }
    });
}

#[test]
fn a_redirect_to_another_scheme_is_an_error() {
    for location in ["ftp://a/", "http://[", "javascript:alert(1)"] {
        let origin = Origin::answering(move |_| (redirect(302, location), true));
        let url = origin.url("/");
        on_shard(move || {
            let url = url.clone();
            async move {
                let failed = error(Client::new().get(&url).send()).await;
                assert!(matches!(failed.failure(), FetchFailure::Redirect(_)), "{failed}");
            }
        });
    }
}

#[test]
fn cookies_are_kept_if_asked_for() {
    let origin = Origin::answering(|seen| match seen.path() {
        "/login" => (
            b"HTTP/1.1 302 Found\r\nSet-Cookie: id=7; Path=/; HttpOnly\r\nSet-Cookie: b=c\r\nLocation: /\r\n\
            Content-Length: 0\r\n\r\n"
                .to_vec(),
            true,
        ),
        _ => (echo(seen), true),
    });
    let url = origin.url("");
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = Client::builder().cookies().build().unwrap();
            let seen = text(client.get(&format!("{url}/login")).send()).await;
            assert!(seen.contains("id=7") && seen.contains("b=c"), "{seen}");
            let seen = text(client.get(&format!("{url}/other")).header("cookie", "mine=1").send()).await;
            assert!(seen.ends_with("mine=1"), "{seen}");
            let seen = text(Client::new().get(&format!("{url}/login")).send()).await;
            assert_eq!(seen, "GET / HTTP/1.1  - - -");
        }
    });
}
