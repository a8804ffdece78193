//! Writing a response: values, fields, refusals, flushing.

use crate::app_client::AppClient;
use bytes::Bytes;
use serde::Serialize;
use serde_json::json;
use squall::Response;
use squall::message::Body;
use squall::prelude::*;

/// A response on one line: status, type, content.
fn get(application: Application, target: &str) -> (u16, Option<String>, String) {
    let response = AppClient::new(application).unwrap().get(target).send().unwrap();
    let media_type = response.header("content-type").map(str::to_owned);
    (response.status().as_u16(), media_type, response.text())
}

#[test]
fn values_become_responses() {
    const TEXT: &str = "text/plain; charset=utf-8";
    const HTML: &str = "text/html; charset=utf-8";
    const JSON: &str = "application/json";
    const BYTES: &str = "application/octet-stream";
    /// One row: a function body and its response.
    macro_rules! check {
        ($($body:expr => $status:literal, $media_type:expr, $content:literal;)*) => {$(
            let application = Application::new().get("/", async |_: &mut Context| $body);
            let media_type: Option<&str> = $media_type;
            let expected = ($status, media_type.map(str::to_owned), $content.to_owned());
            assert_eq!(get(application, "/"), expected, "{}", stringify!($body));
        )*};
    }
    check! {
        () => 200, None, "";
        "static" => 200, Some(TEXT), "static";
        String::from("owned") => 200, Some(TEXT), "owned";
        std::borrow::Cow::from("cow") => 200, Some(TEXT), "cow";
        vec![b'v'] => 200, Some(BYTES), "v";
        Bytes::from_static(b"bytes") => 200, Some(BYTES), "bytes";
        Body::from("body") => 200, Some(BYTES), "body";
        "" => 200, None, "";
        StatusCode::ACCEPTED => 202, None, "";
        (StatusCode::CREATED, "made") => 201, Some(TEXT), "made";
        Html("<b>") => 200, Some(HTML), "<b>";
        Json(json!({ "a": [1, null] })) => 200, Some(JSON), "{\"a\":[1,null]}";
        Some("some") => 200, Some(TEXT), "some";
        Ok::<_, Error>("fine") => 200, Some(TEXT), "fine";
        Response::new(203).with_header(header::CONTENT_TYPE, HeaderValue::from_static("text/csv")).with_body("a,b")
            => 203, Some("text/csv"), "a,b";
        Response::new(200).with_body(Body::stream(futures_util::stream::iter([Ok::<_, Error>("s".into()), Ok("t".into())])))
            => 200, Some(BYTES), "st";
    }
}

#[test]
fn redirects_carry_their_status_and_location() {
    let application = Application::new()
        .get("/found", async |_: &mut Context| Redirect::found("/a"))
        .get("/permanent", async |_: &mut Context| Redirect::permanent("/b?c=d"))
        .get("/see_other", async |_: &mut Context| {
            Redirect::see_other(String::from("/c"))
        })
        .get("/temporary", async |_: &mut Context| {
            Redirect::temporary("https://example.com/")
        })
        .get("/split", async |_: &mut Context| {
            Redirect::found("/x\r\nset-cookie: a=b")
        });
    let client = AppClient::new(application).unwrap();
    for (target, status, location) in [
        ("/found", 302, Some("/a")),
        ("/permanent", 308, Some("/b?c=d")),
        ("/see_other", 303, Some("/c")),
        ("/temporary", 307, Some("https://example.com/")),
        ("/split", 500, None),
    ] {
        let response = client.get(target).send().unwrap();
        assert_eq!(
            (response.status().as_u16(), response.header("location")),
            (status, location),
            "{target}"
        );
    }
}

#[test]
fn tuples_set_the_status_and_replace_fields_of_their_value() {
    let application = Application::new()
        .get("/array", async |_: &mut Context| {
            ([("content-type", "text/csv"), ("x-a", "1"), ("x-a", "2")], "a,b")
        })
        .get("/vec", async |_: &mut Context| {
            let headers = vec![
                (header::ETAG, String::from("\"1\"")),
                (header::VARY, String::from("accept")),
            ];
            (StatusCode::CREATED, headers, Json(1))
        })
        .get("/outer", async |_: &mut Context| {
            let inner = Response::new(203).with_header(header::VARY, HeaderValue::from_static("inner"));
            (StatusCode::ACCEPTED, [(header::VARY, "outer")], inner)
        })
        .get("/error", async |_: &mut Context| {
            (StatusCode::CREATED, [("x-a", "1")], None::<&str>)
        })
        .get("/name", async |_: &mut Context| ([("x a", "1")], "a"))
        .get("/value", async |_: &mut Context| ([("x-a", "1\r\nx-b: 2")], "a"));
    let client = AppClient::new(application).unwrap();
    for (target, status, fields) in [
        (
            "/array",
            200,
            &[("content-type", "text/csv"), ("x-a", "1"), ("x-a", "2")][..],
        ),
        (
            "/vec",
            201,
            &[
                ("etag", "\"1\""),
                ("vary", "accept"),
                ("content-type", "application/json"),
            ],
        ),
        ("/outer", 202, &[("vary", "outer")]),
        ("/error", 404, &[("x-a", "")]),
        ("/name", 500, &[("x a", "")]),
        ("/value", 500, &[("x-a", ""), ("x-b", "")]),
    ] {
        let response = client.get(target).send().unwrap();
        assert_eq!(response.status(), status, "{target}");
        for (name, _) in fields {
            let expected = fields
                .iter()
                .filter(|(other, value)| other == name && !value.is_empty());
            let sent = response.headers().iter().filter(|(sent, _)| sent.as_str() == *name);
            let sent: Vec<_> = sent.map(|(_, value)| value.to_str().unwrap()).collect();
            assert_eq!(
                sent,
                expected.map(|(_, value)| *value).collect::<Vec<_>>(),
                "{target} {name}"
            );
        }
    }
}

#[test]
fn the_first_write_sets_the_content_type_unless_it_was_set() {
    let application = Application::new()
        .get("/text", async |cx: &mut Context| {
            cx.write("a");
            cx.write(b"b");
        })
        .get("/bytes", async |cx: &mut Context| {
            cx.write(vec![b'a']);
            cx.write(String::from("b"));
        })
        .get("/json", async |cx: &mut Context| cx.write_json(&["x"]))
        .get("/set", async |cx: &mut Context| {
            cx.write("a");
            cx.set_header(header::CONTENT_TYPE, "text/markdown")
        })
        .get("/after", async |cx: &mut Context| {
            cx.write("written, ");
            "returned"
        });
    let client = AppClient::new(application).unwrap();
    for (target, media_type, text) in [
        ("/text", "text/plain; charset=utf-8", "ab"),
        ("/bytes", "application/octet-stream", "ab"),
        ("/json", "application/json", "[\"x\"]"),
        ("/set", "text/markdown", "a"),
        ("/after", "text/plain; charset=utf-8", "written, returned"),
    ] {
        let response = client.get(target).send().unwrap();
        assert_eq!(response.header("content-type"), Some(media_type), "{target}");
        assert_eq!(response.text(), text, "{target}");
    }
}

#[test]
fn fields_are_set_added_and_cleared() {
    let application = Application::new().get("/", async |cx: &mut Context| -> Result {
        cx.set_header("x-over", "1")?;
        cx.set_header("X-Over", 2)?;
        cx.add_header("x-multi", "a")?;
        cx.add_header("x-multi", String::from("b"))?;
        cx.set_header("x-gone", HeaderValue::from_static("1"))?;
        assert!(cx.clear_header("X-Gone"));
        assert!(!cx.clear_header("x-gone"));
        assert!(!cx.clear_header("not a name"));
        Ok(())
    });
    let response = AppClient::new(application).unwrap().get("/").send().unwrap();
    let lines: Vec<_> = response
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    assert_eq!(lines, [("x-over", &b"2"[..]), ("x-multi", b"a"), ("x-multi", b"b")]);
}

/// Response splitting (Tornado's `test_header_injection`), and blanks that a recipient strips (RFC 9110 §5.5):
/// setting such a value fails, and the response carries nothing of it.
#[test]
fn application_data_cannot_break_a_header_line() {
    async fn set(cx: &mut Context) -> Result<&'static str> {
        let name: String = cx.query_param("name")?;
        let value: String = cx.query_param("value")?;
        match cx.query_param::<String>("how")?.as_str() {
            "set" => cx.set_header(name, value)?,
            "add" => cx.add_header(name, value)?,
            "trailer" => cx.add_trailer(name, value)?,
            "client" => cx.set_header(name, value).or_status(400)?,
            _ => {
                drop(cx.set_header(name, value));
            }
        }
        Ok("set")
    }
    let client = AppClient::new(Application::new().get("/", set)).unwrap();
    for (name, value) in [
        ("x", "a%0D%0Ax-injected:1"),
        ("x", "a%0Ax-injected:1"),
        ("x", "a%0Dx-injected:1"),
        ("x", "a%00b"),
        ("x", "%7F"),
        ("x", "%20a"),
        ("x", "a%09"),
        ("x%0D%0Ax-injected", "1"),
        ("x%20y", "1"),
        ("x:y", "1"),
        ("", "1"),
    ] {
        for (how, status) in [
            ("set", 500),
            ("add", 500),
            ("trailer", 500),
            ("client", 400),
            ("ignored", 200),
        ] {
            let response = client
                .get(&format!("/?how={how}&name={name}&value={value}"))
                .send()
                .unwrap();
            assert_eq!(response.status(), status, "{how} {name}: {value}");
            let mut names = response
                .headers()
                .iter()
                .chain(response.trailers().iter())
                .map(|(name, _)| name.as_str());
            assert!(names.all(|name| ["content-type", "x-content-type-options", "vary"].contains(&name)));
            assert!(!response.text().contains("injected"), "{}", response.text());
        }
    }
    let response = client.get("/?how=set&name=x&value=a%09b%20c").send().unwrap();
    assert_eq!(response.header("x"), Some("a\tb c"));
}

#[test]
fn a_response_that_cannot_be_sent_as_it_is_becomes_a_500() {
    #[derive(Serialize)]
    struct Unserializable {
        #[serde(serialize_with = "refuse")]
        field: (),
    }
    fn refuse<S: serde::Serializer>((): &(), _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("no"))
    }
    let application = Application::new()
        .get("/204", async |_: &mut Context| (StatusCode::NO_CONTENT, "content"))
        .get("/304", async |_: &mut Context| (StatusCode::NOT_MODIFIED, "content"))
        .get("/100", async |_: &mut Context| StatusCode::CONTINUE)
        .get("/short", async |cx: &mut Context| {
            cx.write("four");
            cx.set_header(header::CONTENT_LENGTH, 5)
        })
        .get("/finished", async |cx: &mut Context| {
            cx.finish();
            cx.write("late");
        })
        .get("/behind_stream", async |cx: &mut Context| {
            cx.stream(futures_util::stream::empty::<Result<Bytes>>());
            cx.write("late");
        })
        .get("/json", async |cx: &mut Context| {
            cx.write("before");
            cx.write_json(&Unserializable { field: () })
        });
    let client = AppClient::new(application).unwrap();
    for target in ["/204", "/304", "/100", "/short", "/finished", "/behind_stream", "/json"] {
        let response = client.get(target).send().unwrap();
        assert_eq!(
            (response.status().as_u16(), &*response.text()),
            (500, "500 Internal Server Error\n"),
            "{target}"
        );
    }
}

#[test]
fn statuses_without_content_and_correct_lengths_are_unchanged() {
    let application = Application::new()
        .get("/204", async |_: &mut Context| StatusCode::NO_CONTENT)
        .get("/304", async |cx: &mut Context| {
            cx.set_status(StatusCode::NOT_MODIFIED);
            cx.set_header(header::CONTENT_LENGTH, 1234)
        })
        .get("/length", async |cx: &mut Context| {
            cx.write("four");
            cx.set_header(header::CONTENT_LENGTH, 4)
        });
    let client = AppClient::new(application).unwrap();
    for (target, status) in [("/204", 204), ("/304", 304), ("/length", 200)] {
        assert_eq!(client.get(target).send().unwrap().status(), status);
    }
    let head = client.head("/length").send().unwrap();
    assert_eq!(head.header("content-length"), Some("4"));
}

#[test]
fn flushing_sends_what_there_is_and_the_rest_follows() {
    let application = Application::new()
        .get("/three", async |cx: &mut Context| -> Result {
            for text in ["one", "two"] {
                cx.write(text);
                cx.flush().await?;
            }
            cx.flush().await?;
            cx.write("three");
            cx.add_trailer("x-sum", 3)
        })
        .get("/empty", async |cx: &mut Context| -> Result {
            cx.set_status(202);
            cx.flush().await?;
            assert_eq!(cx.status(), 202);
            cx.write("ok");
            Ok(())
        })
        .get("/late", async |cx: &mut Context| -> Result {
            cx.flush().await?;
            let error = cx.set_header("x-late", "1").unwrap_err();
            assert_eq!(
                error.to_string(),
                "could not set the field `x-late`: the head has been sent; set fields before the first flush"
            );
            cx.set_status(404);
            Ok(())
        })
        .get("/whole", async |cx: &mut Context| -> Result {
            cx.write_body("whole");
            cx.write(", part");
            cx.flush().await
        });
    let client = AppClient::new(application).unwrap();
    let response = client.get("/three").send().unwrap();
    assert_eq!(response.flushes(), [b"one", b"two"]);
    assert_eq!(response.text(), "onetwothree");
    assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(response.trailers().len(), 1);
    let response = client.get("/empty").send().unwrap();
    assert_eq!(
        (response.status().as_u16(), response.flushes(), &*response.text()),
        (202, &[vec![]][..], "ok")
    );
    assert!(
        client.get("/late").send().unwrap().is_aborted(),
        "the status cannot be changed any more"
    );
    assert_eq!(client.get("/whole").send().unwrap().flushes(), [b"whole, part"]);
}

/// A handler that writes for ever in response to GET ends in response to HEAD once its head has been sent. So does
/// one whose status has no content.
#[test]
fn a_response_without_content_is_whole_with_its_first_flush() {
    async fn endless(cx: &mut Context) -> Result {
        loop {
            cx.write("more");
            cx.flush().await?;
        }
    }
    let application = Application::new()
        .get("/", endless)
        .get("/304", async |cx: &mut Context| {
            cx.set_status(304);
            cx.flush().await?;
            endless(cx).await
        });
    let client = AppClient::new(application).unwrap();
    for (method, target, status) in [(Method::HEAD, "/", 200), (Method::GET, "/304", 304)] {
        let response = client.request(method, target).send().unwrap();
        assert_eq!((response.status().as_u16(), response.is_aborted()), (status, false));
        assert_eq!((response.flushes().len(), &*response.text()), (1, ""), "{target}");
    }
}
