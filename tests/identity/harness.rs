//! Shared by these tests: requests in bytes, cookies, and signatures made by hand.

use std::time::SystemTime;

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

pub(crate) use crate::support::response::Response;
pub(crate) use crate::support::server::Server;
pub(crate) use crate::support::show;

/// The secret of the tested servers.
pub(crate) const SECRET: &str = "it is the secret of these tests alone";

/// A server with the secret of these tests.
pub(crate) fn start() -> Server {
    Server::start("conformance", &["--cookie-secret", SECRET])
}

/// Sends a request on a connection of its own, and returns its response; `fields` are lines that end in CRLF.
#[track_caller]
pub(crate) fn send(server: &Server, method: &str, target: &str, fields: &str, content: &str) -> Response {
    let length = match content {
        "" => String::new(),
        content => format!("Content-Length: {}\r\n", content.len()),
    };
    let request =
        format!("{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}{length}\r\n{content}");
    let mut connection = server.connect();
    connection.send_if_open(request.as_bytes());
    let mut responses = connection.responses_until_end(&[method]).unwrap();
    assert_eq!(responses.len(), 1, "{}: {responses:?}", show(request.as_bytes()));
    responses.remove(0)
}

/// Sends a GET with cookies.
#[track_caller]
pub(crate) fn get(server: &Server, target: &str, cookies: &str) -> Response {
    let fields = match cookies {
        "" => String::new(),
        cookies => format!("Cookie: {cookies}\r\n"),
    };
    send(server, "GET", target, &fields, "")
}

/// Sends a GET with cookies, and returns the JSON of the answer.
#[track_caller]
pub(crate) fn json(server: &Server, target: &str, cookies: &str) -> Value {
    let response = get(server, target, cookies);
    assert_eq!(response.status, 200, "{target}: {}", show(&response.body));
    assert_eq!(response.field("content-type"), Some(&b"application/json"[..]));
    serde_json::from_slice(&response.body).unwrap()
}

/// The member `value` of the answer to a GET with cookies.
#[track_caller]
pub(crate) fn value(server: &Server, target: &str, cookies: &str) -> Value {
    json(server, target, cookies)["value"].clone()
}

/// The content of a response as text.
pub(crate) fn text(response: &Response) -> &str {
    str::from_utf8(&response.body).unwrap()
}

/// A field of a response as text.
pub(crate) fn field<'r>(response: &'r Response, name: &str) -> Option<&'r str> {
    response.field(name).map(|value| str::from_utf8(value).unwrap())
}

/// The `Set-Cookie` lines of a response.
pub(crate) fn set_cookies(response: &Response) -> Vec<String> {
    let lines = response.fields.iter().filter(|(name, _)| name == "set-cookie");
    lines
        .map(|(_, value)| String::from_utf8(value.clone()).unwrap())
        .collect()
}

/// The name and the value of the only cookie that a response sets, as a request sends them.
#[track_caller]
pub(crate) fn pair(response: &Response) -> String {
    let lines = set_cookies(response);
    assert_eq!(lines.len(), 1, "{response:?}");
    lines[0].split(';').next().unwrap().to_owned()
}

/// The time in seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the tested server signs by the same clock")]
pub(crate) fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap().as_secs()
}

/// A value signed in Tornado's version 2.
pub(crate) fn sign(secret: &str, key_version: u32, seconds: u64, name: &str, value: &[u8]) -> String {
    let mut signed = "2|".to_owned();
    for field in [
        key_version.to_string(),
        seconds.to_string(),
        name.to_owned(),
        BASE64.encode(value),
    ] {
        signed += &format!("{}:{field}|", field.len());
    }
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    let mac = mac.chain_update(&signed).finalize().into_bytes();
    signed + &HEXLOWER.encode(&mac)
}
