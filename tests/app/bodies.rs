//! Reading content: whole and in pieces, limits, JSON, forms, trailers.

use crate::app_client::{AppClient, AppRequest};
use serde::{Deserialize, Serialize};
use squall::app::BodyLength;
use squall::prelude::*;

/// The limit of the application under test.
const LIMIT: usize = 1000;

async fn whole(cx: &mut Context) -> Result<String> {
    let body = cx.body().await?;
    let again = cx.body().await?;
    assert_eq!(body, again);
    Ok(format!("{} {:?}", body.len(), cx.content_length()))
}

async fn pieces(cx: &mut Context) -> Result<String> {
    let mut lengths = Vec::new();
    while let Some(piece) = cx.next_chunk().await? {
        lengths.push(piece.len().to_string());
    }
    assert_eq!(cx.next_chunk().await?, None);
    Ok(lengths.join("+"))
}

async fn raised(cx: &mut Context) -> Result<String> {
    cx.set_body_limit(2 * LIMIT as u64);
    whole(cx).await
}

async fn mixed(cx: &mut Context) -> Result<String> {
    let first = cx.next_chunk().await?.or_status(400)?;
    let rest = cx.body().await?;
    Ok(format!("{}+{}", first.len(), rest.len()))
}

fn client() -> AppClient {
    let application = Application::new()
        .max_body_bytes(LIMIT as u64)
        .post("/whole", whole)
        .post("/pieces", pieces)
        .post("/raised", raised)
        .post("/mixed", mixed)
        .post("/unread", async |_: &mut Context| "not read");
    AppClient::new(application).unwrap()
}

fn answer(request: AppRequest<'_>) -> (u16, String) {
    let response = request.send().unwrap();
    (response.status().as_u16(), response.text())
}

#[test]
fn content_is_read_whole_or_in_pieces() {
    let client = client();
    assert_eq!(answer(client.post("/whole")), (200, "0 Some(0)".to_owned()));
    assert_eq!(answer(client.post("/whole").body("abc")), (200, "3 Some(3)".to_owned()));
    assert_eq!(
        answer(client.post("/whole").chunks(["a", "bc"])),
        (200, "3 None".to_owned())
    );
    assert_eq!(answer(client.post("/pieces")), (200, String::new()));
    assert_eq!(
        answer(client.post("/pieces").chunks(["a", "bc", "def"])),
        (200, "1+2+3".to_owned())
    );
    assert_eq!(
        answer(client.post("/mixed").chunks(["a", "bc", "def"])),
        (200, "1+5".to_owned())
    );
    assert_eq!(answer(client.post("/unread").body("abc")), (200, "not read".to_owned()));
}

#[test]
fn content_is_limited_to_the_byte_by_every_read() {
    let client = client();
    const TOO_LARGE: &str = "413 Payload Too Large: the content is too large\n";
    for (target, limit) in [("/whole", LIMIT), ("/pieces", LIMIT), ("/raised", 2 * LIMIT)] {
        for length in [limit - 1, limit] {
            let content = vec![b'x'; length];
            assert_eq!(
                answer(client.post(target).body(content.clone())).0,
                200,
                "{target} {length}"
            );
            assert_eq!(
                answer(client.post(target).chunks([content])).0,
                200,
                "{target} {length}"
            );
        }
        let content = vec![b'x'; limit + 1];
        assert_eq!(
            answer(client.post(target).body(content.clone())),
            (413, TOO_LARGE.to_owned()),
            "{target}"
        );
        let (first, second) = content.split_at(limit / 2);
        assert_eq!(
            answer(client.post(target).chunks([first, second])),
            (413, TOO_LARGE.to_owned()),
            "{target}"
        );
    }
    assert_eq!(
        answer(client.post("/whole").body("abc")).0,
        200,
        "a limit lasts one request"
    );
}

/// The announced length alone is refused, so the server sends no `100 (Continue)`.
#[test]
fn an_announced_length_over_the_limit_is_refused_without_100_continue() {
    let client = client();
    let request = client.post("/whole").announced(BodyLength::Known(LIMIT as u64 + 1));
    assert_eq!(answer(request).0, 413);
    let request = client.post("/unread").announced(BodyLength::Known(u64::MAX));
    assert_eq!(
        answer(request).0,
        200,
        "unread content is not the application's concern"
    );
}

#[test]
fn the_operator_can_set_the_limit() {
    let client = client();
    let limits = client.app().shared().limits().max_body_bytes(2);
    client.app().shared().set_limits(limits);
    assert_eq!(answer(client.post("/whole").body("ab")).0, 200);
    assert_eq!(answer(client.post("/whole").body("abc")).0, 413);
}

#[derive(Debug, Deserialize, Serialize)]
struct Order {
    item: String,
    #[serde(default)]
    count: Vec<u32>,
}

#[test]
fn json_is_parsed_or_refused_with_a_reason() {
    let application = Application::new().post("/", async |cx: &mut Context| -> Result<String> {
        let order: Order = cx.json().await?;
        Ok(format!("{} {:?}", order.item, order.count))
    });
    let client = AppClient::new(application).unwrap();
    let deep = format!("{{\"item\":{}", "[".repeat(100_000));
    for (media_type, content, status, part) in [
        (
            "application/json",
            "{\"item\":\"\u{e9}\",\"count\":[1]}",
            200,
            "\u{e9} [1]",
        ),
        ("Application/JSON; charset=utf-8", "{\"item\":\"a\"}", 200, "a []"),
        ("application/vnd.api+json", "{\"item\":\"a\"}", 200, "a []"),
        ("application/json", "{\"item\":\"a\"", 400, "line 1 column 11"),
        ("application/json", "", 400, "EOF"),
        (
            "application/json",
            "{\"item\":7}",
            422,
            "`item`: invalid type: integer `7`, expected a string",
        ),
        (
            "application/json",
            "{\"item\":\"a\",\"count\":[1,-1]}",
            422,
            "`count[1]`: invalid value: integer `-1`, expected u32 at line 1",
        ),
        ("application/json", "{\"count\":[]}", 422, "JSON: missing field `item`"),
        ("application/json", "{\"item\":\"a\"} 7", 400, "trailing characters"),
        (
            "application/json",
            "{\"item\":\"a\",\"count\":[1e400]}",
            422,
            "`count[0]`: number out of range",
        ),
        ("application/json", deep.as_str(), 400, "more than 128 levels deep"),
        (
            "text/plain",
            "{\"item\":\"a\"}",
            415,
            "the content must be application/json",
        ),
        ("", "{\"item\":\"a\"}", 415, "the content must be application/json"),
    ] {
        let response = client
            .post("/")
            .header("content-type", media_type)
            .body(content)
            .send()
            .unwrap();
        assert_eq!(response.status(), status, "{media_type} {part}");
        assert!(response.text().contains(part), "{part}: {}", response.text());
    }
    assert_eq!(
        client.post("/").body("{}").send().unwrap().status(),
        415,
        "no type at all"
    );
}

/// JSON of 100,000 brackets fits a stack of 256 KiB.
#[test]
fn deep_json_does_not_overflow_a_small_stack() {
    let thread = std::thread::Builder::new().stack_size(256 * 1024);
    let joined = thread.spawn(|| {
        let application = Application::new().post("/", async |cx: &mut Context| -> Result<String> {
            let value: serde_json::Value = cx.json().await?;
            Ok(value.to_string())
        });
        let client = AppClient::new(application).unwrap();
        let send = |depth| {
            client
                .post("/")
                .header("content-type", "application/json")
                .body("[".repeat(depth))
                .send()
        };
        send(100_000).unwrap().status().as_u16()
    });
    assert_eq!(joined.unwrap().join().unwrap(), 400);
}

#[test]
fn forms_are_parsed_or_refused_with_a_reason() {
    let application = Application::new().post("/", async |cx: &mut Context| -> Result<String> {
        let order: Order = cx.form().await?;
        Ok(format!("{} {:?}", order.item, order.count))
    });
    let client = AppClient::new(application).unwrap();
    for (media_type, content, status, part) in [
        (
            "application/x-www-form-urlencoded",
            &b"item=a+%C3%A9&count=1&count=2"[..],
            200,
            "a \u{e9} [1, 2]",
        ),
        (
            "application/x-www-form-urlencoded;charset=utf-8",
            b"item=\xc3\xa9",
            200,
            "\u{e9} []",
        ),
        (
            "application/x-www-form-urlencoded",
            b"count=1",
            400,
            "missing field `item`",
        ),
        (
            "application/x-www-form-urlencoded",
            b"item=a&count=1&count=x",
            400,
            "form: `count",
        ),
        ("application/x-www-form-urlencoded", b"item=%f", 400, "hexadecimal"),
        ("application/x-www-form-urlencoded", b"item=%ff", 400, "UTF-8"),
        ("application/x-www-form-urlencoded", b"item=\xff", 400, "UTF-8"),
        ("text/plain", b"item=a", 415, "application/x-www-form-urlencoded"),
        (
            "multipart/form-data; boundary=x",
            b"item=a",
            400,
            "begin with its boundary",
        ),
    ] {
        let response = client
            .post("/")
            .header("content-type", media_type)
            .body(content)
            .send()
            .unwrap();
        assert_eq!(response.status(), status, "{part}");
        assert!(response.text().contains(part), "{part}: {}", response.text());
    }
}

/// RFC 9110 §5.5: a field value may hold bytes beyond ASCII, of no known encoding.
#[test]
fn other_cookies_are_readable_beside_one_of_invalid_utf_8() {
    let application = Application::new()
        .get("/one", async |cx: &mut Context| {
            cx.cookies().get("session").map(|value| value.map(String::from))
        })
        .get("/all", async |cx: &mut Context| -> Result<String> {
            let all = cx.cookies().iter()?.map(|(name, value)| format!("{name}:{value}"));
            Ok(all.collect::<Vec<_>>().join(" "))
        });
    let client = AppClient::new(application).unwrap();
    let field: &[u8] = b"a=1; name=Fran\xe7ois; session=abc";
    let sent = |path: &str| client.get(path).header("cookie", field).send().unwrap().text();
    assert_eq!(sent("/one"), "abc");
    assert_eq!(sent("/all"), "a:1 session:abc");
}

#[test]
fn a_media_type_is_readable_beside_a_parameter_of_invalid_utf_8() {
    let application = Application::new()
        .put("/json", async |cx: &mut Context| -> Result<Json<Order>> {
            Ok(Json(cx.json().await?))
        })
        .put("/form", async |cx: &mut Context| -> Result<Json<Order>> {
            Ok(Json(cx.form().await?))
        });
    let client = AppClient::new(application).unwrap();
    for (path, media_type, body) in [
        (
            "/json",
            &b"application/json; name=\"Fran\xe7ois\""[..],
            r#"{"item":"a","count":[1]}"#,
        ),
        (
            "/form",
            b"application/x-www-form-urlencoded; name=Fran\xe7ois",
            "item=a&count=1",
        ),
    ] {
        let request = client.put(path).header("content-type", media_type).body(body);
        assert_eq!(request.send().unwrap().status(), 200, "{path}");
    }
}

#[test]
fn trailers_are_kept_apart_from_the_fields() {
    let application = Application::new().post("/", async |cx: &mut Context| -> Result<String> {
        cx.body().await?;
        let trailers = cx.trailers();
        let sum = trailers.get(&HeaderName::from_static("x-sum")).cloned();
        Ok(format!("{sum:?} {:?}", cx.header("x-sum")))
    });
    let client = AppClient::new(application).unwrap();
    let sum = (HeaderName::from_static("x-sum"), HeaderValue::from_static("7"));
    let request = client.post("/").chunks(["a"]).trailer(sum.0, sum.1);
    assert_eq!(request.send().unwrap().text(), "Some(\"7\") None");
    assert_eq!(
        client.post("/").chunks(["a"]).send().unwrap().text(),
        "None None",
        "they last one request"
    );
}
