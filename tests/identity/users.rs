//! `/login`, `/private`, `/basic`, `/bearer`.

use crate::harness::*;

fn log_in(server: &Server, content: &str) -> Response {
    send(
        server,
        "POST",
        "/login",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        content,
    )
}

#[test]
fn a_visitor_is_sent_to_the_login_and_back() {
    let server = start();
    for (target, location) in [
        ("/private", "/login?next=%2Fprivate"),
        ("/private?a=1&b=%20", "/login?next=%2Fprivate%3Fa%3D1%26b%3D%2520"),
    ] {
        let refused = get(&server, target, "");
        assert_eq!((refused.status, field(&refused, "location")), (302, Some(location)));
    }
    assert_eq!(get(&server, "/login?next=%2Fprivate", "").status, 200);
    let entered = log_in(&server, "user=ada&next=%2Fprivate%3Fa%3D1");
    assert_eq!(
        (entered.status, field(&entered, "location")),
        (302, Some("/private?a=1"))
    );
    let line = &set_cookies(&entered)[0];
    assert!(line.contains("; HttpOnly") && line.contains("; SameSite=Lax"), "{line}");
    let cookie = pair(&entered);
    let page = get(&server, "/private", &cookie);
    assert_eq!((page.status, text(&page)), (200, "hello ada"));
    let fields = format!("Cookie: {cookie}\r\n");
    assert_eq!(send(&server, "HEAD", "/private", &fields, "").status, 200);
    assert_eq!(text(&send(&server, "POST", "/private", &fields, "")), "ok");
    let left = get(&server, "/logout", &cookie);
    assert_eq!((left.status, field(&left, "location")), (302, Some("/")));
    assert!(set_cookies(&left)[0].starts_with("user=;"), "{left:?}");
}

#[test]
fn without_a_valid_cookie_a_post_is_403_and_another_method_405() {
    let server = start();
    let forged = sign("another secret", 0, now(), "user", b"ada");
    let old = sign(SECRET, 0, now() - 32 * 24 * 60 * 60, "user", b"ada");
    let renamed = sign(SECRET, 0, now(), "name", b"ada");
    for cookie in [
        "",
        "user=ada",
        "user=",
        &format!("user={forged}"),
        &format!("user={old}"),
        &format!("user={renamed}"),
    ] {
        let fields = format!("Cookie: {cookie}\r\n");
        assert_eq!(send(&server, "POST", "/private", &fields, "").status, 403, "{cookie}");
        assert_eq!(send(&server, "GET", "/private", &fields, "").status, 302, "{cookie}");
        assert_eq!(send(&server, "HEAD", "/private", &fields, "").status, 302, "{cookie}");
        assert_eq!(send(&server, "DELETE", "/private", &fields, "").status, 405, "{cookie}");
    }
    let valid = format!("Cookie: user={}\r\n", sign(SECRET, 0, now(), "user", b"ada"));
    assert_eq!(text(&send(&server, "GET", "/private", &valid, "")), "hello ada");
}

#[test]
fn a_login_leads_to_paths_of_this_host_alone() {
    let server = start();
    for (next, location) in [
        ("%2F", "/"),
        ("%2Fa%2Fb%3Fc%3Dd", "/a/b?c=d"),
        ("%2Fa+b", "/a%20b"),
        ("%2F%C3%A9", "/%C3%A9"),
        ("", "/"),
        ("a", "/"),
        ("%2F%2Fevil.example", "/"),
        ("%2F%5Cevil.example", "/"),
        ("%5C%5Cevil.example", "/"),
        ("%2F%09%2Fevil.example", "/"),
        ("%2F%0A%2Fevil.example", "/"),
        ("%2F%0D%0AX-Injected:1", "/"),
        ("https:evil.example", "/"),
        ("https%3A%2F%2Fevil.example", "/"),
        ("javascript%3Aalert(1)", "/"),
        ("+%2Fa", "/"),
    ] {
        let entered = log_in(&server, &format!("user=ada&next={next}"));
        assert_eq!(
            (entered.status, field(&entered, "location")),
            (302, Some(location)),
            "{next}"
        );
        assert!(entered.field("x-injected").is_none());
    }
    let entered = log_in(&server, "user=ada");
    assert_eq!(field(&entered, "location"), Some("/"), "without next");
    assert_eq!(log_in(&server, "next=/").status, 400, "without user");
}

#[test]
fn basic_credentials_are_required_and_challenged() {
    let server = start();
    let basic = |value: &str| {
        let fields = if value.is_empty() {
            String::new()
        } else {
            format!("Authorization: {value}\r\n")
        };
        send(&server, "GET", "/basic", &fields, "")
    };
    for value in [
        "Basic YWRhOmxvdmVsYWNl",
        "bAsIc YWRhOmxvdmVsYWNl",
        "Basic   YWRhOmxvdmVsYWNl",
    ] {
        let answer = basic(value);
        assert_eq!((answer.status, text(&answer)), (200, "ada"), "{value}");
    }
    for value in [
        "",
        "Basic",
        "Basic ",
        "Basic =",
        "Basic YWRh",
        "Basic YWRhOkxvdmVsYWNl",
        "Basic YWRhOmxvdmVsYWNl=",
        "Basic YWRhOmxvdmVsYWNl, Basic YWRhOmxvdmVsYWNl",
        "Bearer YWRhOmxvdmVsYWNl",
        "YWRhOmxvdmVsYWNl",
    ] {
        let answer = basic(value);
        assert_eq!(answer.status, 401, "{value}");
        let challenge = field(&answer, "www-authenticate");
        assert_eq!(
            challenge,
            Some("Basic realm=\"conformance\", charset=\"UTF-8\""),
            "{value}"
        );
    }
    let twice = "Authorization: Basic YWRhOmxvdmVsYWNl\r\n".repeat(2);
    assert_eq!(send(&server, "GET", "/basic", &twice, "").status, 401);
    assert_eq!(send(&server, "POST", "/basic", "", "").status, 405);
}

#[test]
fn a_bearer_token_is_required_and_challenged() {
    let server = start();
    let bearer = |value: &str| {
        let fields = if value.is_empty() {
            String::new()
        } else {
            format!("Authorization: {value}\r\n")
        };
        send(&server, "GET", "/bearer", &fields, "")
    };
    for value in ["Bearer open-sesame", "bearer open-sesame"] {
        let answer = bearer(value);
        assert_eq!((answer.status, text(&answer)), (200, "ok"), "{value}");
    }
    for value in [
        "",
        "Bearer",
        "Bearer open",
        "Bearer open-sesame-",
        "Bearer Open-sesame",
        "Bearer open-sesame,open-sesame",
        "Basic open-sesame",
        "open-sesame",
    ] {
        let answer = bearer(value);
        assert_eq!(answer.status, 401, "{value}");
        let challenge = field(&answer, "www-authenticate").unwrap_or_default();
        assert!(
            challenge.starts_with("Bearer realm=\"conformance\""),
            "{value}: {challenge}"
        );
    }
}
