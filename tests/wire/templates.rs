//! The contract of `/page`: one value as text, as an attribute, in a URL and in a script, in exact bytes.

use crate::harness::*;

/// Each value, percent-encoded, then as text and as attribute, in the URL, and as JSON.
const VALUES: [[&str; 4]; 7] = [
    ["", "", "", "\"\""],
    ["Ada+L", "Ada L", "Ada%20L", "\"Ada L\""],
    [
        "%3C/script%3E%3Cscript%3E",
        "&#60;/script&#62;&#60;script&#62;",
        "%3C%2Fscript%3E%3Cscript%3E",
        "\"\\u003c/script\\u003e\\u003cscript\\u003e\"",
    ],
    [
        "%22%3E%27%26amp;",
        "&#34;&#62;&#39;&#38;amp;",
        "%22%3E%27%26amp%3B",
        "\"\\\"\\u003e\\u0027\\u0026amp;\"",
    ],
    ["a/b?c=d%23e%25", "a/b?c=d#e%", "a%2Fb%3Fc%3Dd%23e%25", "\"a/b?c=d#e%\""],
    ["%C3%A4%F0%9F%98%80", "ä😀", "%C3%A4%F0%9F%98%80", "\"ä😀\""],
    ["%0D%0Ax%00", "\r\nx\0", "%0D%0Ax%00", "\"\\r\\nx\\u0000\""],
];

#[test]
fn a_page_escapes_its_value_in_every_place() {
    let server = Server::shared();
    for_each_case(
        VALUES,
        |[value, ..]| (*value).to_owned(),
        |[value, text, in_url, json]| {
            let mut connection = server.connect();
            let response = connection.exchange(&get(&format!("/page?name={value}")), "GET")?;
            response.expect_status(200)?;
            let media_type = response.field("content-type");
            ensure(media_type == Some(b"text/html; charset=utf-8"), || {
                format!("{response:?}")
            })?;
            let page = String::from_utf8(response.body).unwrap();
            for element in [
                format!("\n<p id=\"t\">{text}</p>\n"),
                format!("\n<a id=\"a\" title=\"{text}\" href=\"/q?x={in_url}\">q</a>\n"),
                format!("\n<script id=\"j\">var v = {json};</script>\n"),
            ] {
                ensure(page.contains(&element), || format!("{element} is not in {page}"))?;
            }
            still_usable(&mut connection)
        },
    );
}

#[test]
fn a_page_without_a_usable_value_is_400() {
    let server = Server::shared();
    for target in ["/page", "/page?x=name", "/page?name=%FF", "/page?name=%4"] {
        let mut connection = server.connect();
        let response = connection.exchange(&get(target), "GET").unwrap();
        response.expect_status(400).unwrap();
        still_usable(&mut connection).unwrap();
    }
}

/// RFC 9110 §9.3.2: HEAD has the fields of GET.
#[test]
fn head_of_a_page_has_the_fields_of_get() {
    let server = Server::shared();
    let mut connection = server.connect();
    let get = connection.exchange(&get("/page?name=a"), "GET").unwrap();
    let head = connection
        .exchange(b"HEAD /page?name=a HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD")
        .unwrap();
    for name in ["content-type", "content-length"] {
        assert_eq!(head.field(name), get.field(name), "{name}");
    }
    still_usable(&mut connection).unwrap();
}
