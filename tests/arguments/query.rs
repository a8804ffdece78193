//! `/query`: the parameters of the query.

use crate::harness::*;

#[test]
fn parameters_come_by_name_in_order() {
    let server = Server::shared();
    for (query, expected) in [
        ("", "{}"),
        ("?", "{}"),
        ("?b=1&a=2&b=3&c&=d", r#"{"b":["1","3"],"a":["2"],"c":[""],"":["d"]}"#),
        ("?a=+x+&%61=%20&a;b=c%3B=d", r#"{"a":[" x "," "],"a;b":["c;=d"]}"#),
        (
            "?n=gr%C3%BC%C3%9Fe&n=%00%09",
            "{\"n\":[\"gr\u{fc}\u{df}e\",\"\\u0000\\t\"]}",
        ),
        ("?a==&&b=%2B", r#"{"a":["="],"b":["+"]}"#),
    ] {
        expect_json(&server, &get(&format!("/query{query}")), expected);
    }
}

#[test]
fn what_is_not_utf_8_is_400() {
    let server = Server::shared();
    for query in [
        "a=%ff",
        "%ff=a",
        "a=%C3",
        "a=%ED%A0%80",
        "a=1&b=%80",
        "a=%f",
        "a=%zz",
        "%=a",
    ] {
        expect_status(&server, &get(&format!("/query?{query}")), 400);
    }
}

#[test]
fn one_parameter_more_than_the_limit_is_400() {
    let server = Server::start("conformance", &["--max-parameters", "3"]);
    expect_json(&server, &get("/query?a=1&a=2&a=3"), r#"{"a":["1","2","3"]}"#);
    expect_status(&server, &get("/query?a=1&a=2&a=3&a=4"), 400);
    expect_status(&server, &get(&format!("/query?{}", "a&".repeat(3000))), 400);
    let form = |content: &[u8]| post("/form", URL_ENCODED, content);
    expect_json(&server, &form(b"a=1&a=2&a=3"), r#"{"a":["1","2","3"]}"#);
    expect_status(&server, &form(b"a=1&a=2&a=3&a=4"), 400);
}

#[test]
fn get_also_answers_head_and_other_methods_are_405() {
    let server = Server::shared();
    let whole = expect_status(&server, &get("/query?a=1"), 200);
    let head = [b"HEAD", &get("/query?a=1")[b"GET".len()..]].concat();
    let head = expect_status(&server, &head, 200);
    let fields = |response: &Response| -> Vec<_> {
        let fields = response.fields.iter().filter(|(name, _)| name != "date");
        fields.cloned().collect()
    };
    assert_eq!(fields(&whole), fields(&head));
    let response = expect_status(&server, &post("/query", URL_ENCODED, b"a=1"), 405);
    assert_eq!(response.list("allow"), ["get", "head"]);
    for target in ["/form", "/upload", "/upload/stream", "/inflate", "/json-in"] {
        let response = expect_status(&server, &get(target), 405);
        assert_eq!(response.list("allow"), ["post"]);
    }
}
