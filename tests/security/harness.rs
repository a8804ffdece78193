//! Shared by these tests: requests with cookies, and what they set.

pub(crate) use crate::support::response::Response;
pub(crate) use crate::support::running::Running;

/// Sends a GET with cookies on a connection of its own; the kernel picks the shard.
#[track_caller]
pub(crate) fn get(server: &Running, target: &str, cookies: &str) -> Response {
    send(server, "GET", target, cookies, "")
}

/// Sends a POST with a form.
#[track_caller]
pub(crate) fn post(server: &Running, target: &str, cookies: &str, form: &str) -> Response {
    send(server, "POST", target, cookies, form)
}

#[track_caller]
fn send(server: &Running, method: &str, target: &str, cookies: &str, form: &str) -> Response {
    let cookies = if cookies.is_empty() {
        String::new()
    } else {
        format!("Cookie: {cookies}\r\n")
    };
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: a\r\n{cookies}Content-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{form}",
        form.len()
    );
    server.connection().exchange(request.as_bytes(), method).unwrap()
}

/// The content of a response as text.
pub(crate) fn text(response: &Response) -> &str {
    str::from_utf8(&response.body).unwrap()
}

/// Expects a 200, and returns its content.
#[track_caller]
pub(crate) fn ok(response: &Response) -> String {
    assert_eq!(response.status, 200, "{response:?}");
    text(response).to_owned()
}

/// The `Set-Cookie` line of a response.
pub(crate) fn set_cookie(response: &Response) -> Option<String> {
    response
        .field("set-cookie")
        .map(|line| String::from_utf8(line.to_vec()).unwrap())
}

/// The name and the value of the cookie that a response sets, as a request sends them.
#[track_caller]
pub(crate) fn pair(response: &Response) -> String {
    let line = set_cookie(response).unwrap_or_else(|| panic!("no cookie: {response:?}"));
    line.split(';').next().unwrap().to_owned()
}
