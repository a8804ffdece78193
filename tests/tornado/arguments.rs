//! Arguments, forms and compressed content.

use std::collections::BTreeMap;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use squall::prelude::*;
use squall::routing::{get, post as on_post};

use crate::support::running::Running;
use crate::{ask, post};

const URL_ENCODED: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

type Pairs = Vec<(String, String)>;

fn grouped(pairs: Pairs) -> Json<BTreeMap<String, Vec<String>>> {
    let mut groups = BTreeMap::<_, Vec<_>>::new();
    for (name, value) in pairs {
        groups.entry(name).or_default().push(value);
    }
    Json(groups)
}

async fn multipart(cx: &mut Context) -> Result<Json<Value>> {
    let field = cx.headers().get("x-header-encoding-test").unwrap_or_default();
    let header: String = field.iter().copied().map(char::from).collect();
    let form = cx.multipart_form().await?;
    let argument = form.field("argument").map(str::to_owned);
    let file = form.file("files").or_status(400)?;
    let body = file.held().or_status(400)?;
    Ok(Json(json!({
        "header": header,
        "argument": argument,
        "filename": file.file_name(),
        "filebody": String::from_utf8_lossy(body),
    })))
}

/// The values of `foo` in the query alone.
fn in_query(cx: &Context) -> Result<Vec<String>> {
    cx.query_params("foo")
}

/// The values of `foo` in the form alone.
async fn in_body(cx: &mut Context) -> Result<Vec<String>> {
    let pairs: Pairs = cx.form().await?;
    Ok(pairs
        .into_iter()
        .filter(|(name, _)| name == "foo")
        .map(|(_, value)| value)
        .collect())
}

async fn argument(cx: &mut Context) -> Result<String> {
    let source: Option<String> = cx.optional_query_param("source")?;
    let value = match source.as_deref() {
        Some("query") => in_query(cx)?.pop(),
        Some("body") => in_body(cx).await?.pop(),
        _ => cx.optional_argument("foo").await?,
    };
    Ok(value.unwrap_or_else(|| "default".to_owned()))
}

async fn all_arguments(cx: &mut Context) -> Result<Json<Value>> {
    let merged: Vec<String> = cx.arguments("foo").await?;
    Ok(Json(json!({ "default": merged })))
}

async fn arguments_apart(cx: &mut Context) -> Result<Json<Value>> {
    Ok(Json(json!({ "query": in_query(cx)?, "body": in_body(cx).await? })))
}

fn start() -> Running {
    Running::start(1, || {
        let echo = get(async |Query(pairs): Query<Pairs>| grouped(pairs))
            .post(async |Form(pairs): Form<Pairs>| grouped(pairs));
        let inflated = on_post(async |Form(pairs): Form<Pairs>| grouped(pairs));
        Application::new()
            .route("/echo", echo)
            .route("/inflated", inflated.decompress().max_inflated_bytes(100))
            .post("/multipart", multipart)
            .route("/arg", get(argument).post(argument))
            .post("/args", all_arguments)
            .post("/apart", arguments_apart)
            .get("/group/{rest}", async |cx: &mut Context| cx.param::<String>("rest"))
    })
}

#[track_caller]
fn expect_json(response: &crate::Response, expected: &Value) {
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(&serde_json::from_slice::<Value>(&response.body).unwrap(), expected);
}

/// `HTTPConnectionTest.test_multipart_form`. Squall wants the first boundary, which Tornado does without.
#[test]
fn a_multipart_form_has_its_texts_in_utf_8_and_its_fields_in_latin_1() {
    let server = start();
    let form = "--1234567890\r\nContent-Disposition: form-data; name=\"argument\"\r\n\r\n\u{e1}\r\n\
                --1234567890\r\nContent-Disposition: form-data; name=\"files\"; filename=\"\u{f3}\"\r\n\r\n\u{fa}\r\n\
                --1234567890--\r\n";
    let head = format!(
        "POST /multipart HTTP/1.0\r\nContent-Length: {}\r\nContent-Type: multipart/form-data; boundary=1234567890\r\n\
         X-Header-Encoding-Test: ",
        form.len()
    );
    let request = [head.as_bytes(), b"\xe9\r\n\r\n", form.as_bytes()].concat();
    let response = server.connection().exchange(&request, "POST").unwrap();
    let expected = json!({"header": "\u{e9}", "argument": "\u{e1}", "filename": "\u{f3}", "filebody": "\u{fa}"});
    expect_json(&response, &expected);
}

/// `HTTPServerTest.test_query_string_encoding`, `.test_empty_query_string`, `.test_empty_post_parameters`.
#[test]
fn empty_and_encoded_values_are_kept() {
    let server = start();
    expect_json(
        &ask(&server, "GET", "/echo?foo=%C3%A9", ""),
        &json!({"foo": ["\u{e9}"]}),
    );
    expect_json(&ask(&server, "GET", "/echo?foo=&foo=", ""), &json!({"foo": ["", ""]}));
    let form = post(&server, "/echo", URL_ENCODED, b"foo=&bar=");
    expect_json(&form, &json!({"foo": [""], "bar": [""]}));
}

/// `GzipTest.test_gzip`, `.test_gzip_case_insensitive`, `.test_size_limit`, `GzipUnsupportedTest.test_gzip_unsupported`.
///
/// Beyond the limit and without the permission Tornado answers 400; Squall names the fault by 413 and 415.
#[test]
fn compressed_forms_are_read_where_a_route_allows_it() {
    let server = start();
    let gzip = |content: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    };
    let small = gzip(b"foo=bar");
    for coding in ["gzip", "GZIP"] {
        let fields = format!("{URL_ENCODED}Content-Encoding: {coding}\r\n");
        expect_json(&post(&server, "/inflated", &fields, &small), &json!({"foo": ["bar"]}));
        assert_eq!(post(&server, "/echo", &fields, &small).status, 415);
    }
    let fields = format!("{URL_ENCODED}Content-Encoding: gzip\r\n");
    let large = gzip(format!("foo={}", "x".repeat(97)).as_bytes());
    assert_eq!(post(&server, "/inflated", &fields, &large).status, 413);
}

/// `WSGISafeWebTest.test_decode_argument_invalid_unicode`.
#[test]
fn text_that_is_not_utf_8_is_400_and_the_connection_is_kept() {
    let server = start();
    let mut connection = server.connection();
    for target in ["/group/x%FF", "/arg?foo=%FF"] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        let refused = connection.exchange(request.as_bytes(), "GET").unwrap();
        assert_eq!((refused.status, refused.announces_close()), (400, false), "{target}");
    }
    let request = b"GET /group/x HTTP/1.1\r\nHost: a\r\n\r\n";
    connection.exchange(request, "GET").unwrap().expect(200, b"x").unwrap();
}

/// `WSGISafeWebTest.test_get_argument`, `.test_get_query_arguments`, `.test_get_body_arguments`.
#[test]
fn an_argument_is_the_last_of_the_query_and_the_form() {
    let server = start();
    for (target, expected) in [("/arg?foo=bar", "bar"), ("/arg?foo=", ""), ("/arg", "default")] {
        ask(&server, "GET", target, "")
            .expect(200, expected.as_bytes())
            .unwrap();
    }
    for (target, expected) in [
        ("/arg?foo=bar", "hello"),
        ("/arg?foo=bar&source=query", "bar"),
        ("/arg?foo=bar&source=body", "hello"),
    ] {
        let response = post(&server, target, URL_ENCODED, b"foo=hello");
        response.expect(200, expected.as_bytes()).unwrap();
    }
    let merged = post(&server, "/args?foo=bar", URL_ENCODED, b"foo=hello");
    expect_json(&merged, &json!({"default": ["bar", "hello"]}));
    let apart = post(&server, "/apart?foo=bar", URL_ENCODED, b"foo=hello");
    expect_json(&apart, &json!({"query": ["bar"], "body": ["hello"]}));
}
