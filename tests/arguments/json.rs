//! `/json-in`: JSON that fits a type.

use crate::harness::*;

const JSON: &str = "application/json";

#[test]
fn json_comes_back_and_unknown_members_are_ignored() {
    let server = Server::shared();
    for content in [
        "{\"name\":\"\u{e9}\",\"count\":4294967295}",
        " { \"x\" : [{}, 1e400, \"\"], \"count\": 4294967295, \"name\": \"\\u00e9\" } \n",
    ] {
        let expected = "{\"name\":\"\u{e9}\",\"count\":4294967295}";
        expect_json(&server, &post("/json-in", JSON, content.as_bytes()), expected);
        expect_json(
            &server,
            &post_chunked("/json-in", "Application/JSON; charset=utf-8", content.as_bytes()),
            expected,
        );
    }
}

#[test]
fn what_is_not_json_is_400() {
    let server = Server::shared();
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!("{{\"name\":\"a\",\"count\":1,\"x\":{open}{close}}}").into_bytes()
    };
    expect_status(&server, &post("/json-in", JSON, &nested(127)), 200);
    for content in [
        &b""[..],
        b"{",
        b"{\"name\":\"a\",\"count\":1",
        b"{\"name\":\"a\",\"count\":1} x",
        b"{'name':'a','count':1}",
        b"{\"name\":\"a\",\"count\":01}",
        b"{\"name\":\"a\",\"count\":NaN}",
        b"{\"name\":\"\xff\",\"count\":1}",
        b"{\"name\":\"a\",\"count\":1,\"x\":\"\xff\"}",
        b"{\"name\":\"a\nb\",\"count\":1}",
        b"\xef\xbb\xbf{\"name\":\"a\",\"count\":1}",
        &nested(128),
        &b"[".repeat(100_000),
    ] {
        expect_status(&server, &post("/json-in", JSON, content), 400);
    }
}

#[test]
fn another_type_is_415() {
    let server = Server::shared();
    for content_type in ["", "text/plain", "application/jsonx", "text/json", URL_ENCODED] {
        expect_status(
            &server,
            &post("/json-in", content_type, b"{\"name\":\"a\",\"count\":1}"),
            415,
        );
    }
}

#[test]
fn json_that_does_not_fit_is_422_with_the_name_of_the_member() {
    let server = Server::shared();
    for (content, member) in [
        ("{\"name\":\"a\"}", "count"),
        ("{\"count\":1}", "name"),
        ("{\"name\":7,\"count\":1}", "name"),
        ("{\"name\":null,\"count\":1}", "name"),
        ("{\"name\":\"a\",\"count\":\"1\"}", "count"),
        ("{\"name\":\"a\",\"count\":-1}", "count"),
        ("{\"name\":\"a\",\"count\":1.5}", "count"),
        ("{\"name\":\"a\",\"count\":4294967296}", "count"),
        ("{\"name\":\"a\",\"count\":1e400}", "count"),
        ("{\"name\":\"a\",\"count\":1,\"count\":1}", "count"),
    ] {
        let response = expect_status(&server, &post("/json-in", JSON, content.as_bytes()), 422);
        let page = String::from_utf8_lossy(&response.body);
        assert!(page.contains(&format!("`{member}`")), "{content}: {page}");
    }
    let digits = format!("{{\"name\":\"a\",\"count\":{}}}", "1".repeat(1_000_000));
    expect_status(&server, &post("/json-in", JSON, digits.as_bytes()), 422);
    for content in ["[]", "7", "null", "\"a\""] {
        expect_status(&server, &post("/json-in", JSON, content.as_bytes()), 422);
    }
}
