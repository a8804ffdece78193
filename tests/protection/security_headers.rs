//! The security fields of pages and APIs, and the nonce of a page.

use std::collections::BTreeSet;
use std::time::Duration;

use squall::middleware::SecurityHeaders;
use squall::prelude::*;

use crate::support::response::Response;
use crate::support::running::Running;

async fn script(cx: &mut Context) -> Result<Html<String>> {
    let nonce = cx.csp_nonce().or_status(500)?;
    Ok(Html(format!("<script nonce=\"{nonce}\">run()</script>")))
}

async fn own_policy(cx: &mut Context) -> Result {
    cx.set_header("content-security-policy", "default-src *")?;
    cx.write("own");
    cx.flush().await
}

fn site() -> Application {
    Application::new()
        .trusted_proxies("127.0.0.1".parse().unwrap())
        .middleware(SecurityHeaders::page())
        .get("/script", script)
        .get("/own", own_policy)
        .get("/fails", async |_: &mut Context| -> Result { Err(Error::new("why")) })
}

fn text<'r>(response: &'r Response, name: &str) -> &'r str {
    core::str::from_utf8(response.field(name).unwrap_or_default()).unwrap()
}

fn nonce(response: &Response) -> &str {
    let (_, rest) = text(response, "content-security-policy").split_once("'nonce-").unwrap();
    rest.split('\'').next().unwrap()
}

#[test]
fn pages_and_their_errors_carry_every_security_field() {
    let server = Running::start(1, site);
    for (target, status) in [("/script", 200), ("/fails", 500), ("/none", 404)] {
        let response = server.get(target);
        response.expect_status(status).unwrap();
        let policy = text(&response, "content-security-policy").replace(nonce(&response), "N");
        assert_eq!(
            policy,
            "default-src 'self'; script-src 'self' 'nonce-N'; style-src 'self' 'nonce-N'; object-src 'none'; \
             base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
            "{target}"
        );
        for (name, value) in [
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "strict-origin-when-cross-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("strict-transport-security", ""),
        ] {
            assert_eq!(text(&response, name), value, "{target} {name}");
        }
    }
}

#[test]
fn every_response_has_a_nonce_of_its_own_that_its_page_and_its_error_page_carry() {
    let server = Running::start(1, site);
    let mut seen = BTreeSet::new();
    for target in ["/script", "/script", "/fails", "/none"] {
        let response = server.get(target);
        let nonce = nonce(&response).to_owned();
        // 16 bytes in base64url.
        assert_eq!(nonce.len(), 22);
        let body = String::from_utf8(response.body.clone()).unwrap();
        assert!(body.contains(&format!(" nonce=\"{nonce}\">")), "{body}");
        assert!(seen.insert(nonce), "a nonce came twice");
    }
}

#[test]
fn strict_transport_security_is_sent_over_tls_alone() {
    let server = Running::start(1, site);
    for (fields, expected) in [
        ("X-Forwarded-Proto: https\r\n", "max-age=31536000"),
        ("X-Forwarded-Proto: http\r\n", ""),
        ("", ""),
    ] {
        let request = format!("GET /script HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let response = server.connection().exchange(request.as_bytes(), "GET").unwrap();
        assert_eq!(text(&response, "strict-transport-security"), expected, "{fields}");
    }
}

#[test]
fn a_handler_replaces_a_field_and_settings_change_and_remove_them() {
    let server = Running::start(1, site);
    assert_eq!(text(&server.get("/own"), "content-security-policy"), "default-src *");
    let server = Running::start(1, || {
        let headers = SecurityHeaders::api()
            .directive("frame-ancestors", "'self'")
            .directive("upgrade-insecure-requests", "")
            .without_directive("default-src")
            .without(&header::REFERRER_POLICY)
            .strict_transport(Duration::ZERO)
            .header(
                HeaderName::from_static("permissions-policy"),
                HeaderValue::from_static("camera=()"),
            );
        Application::new()
            .middleware(headers)
            .get("/", async |_: &mut Context| "x")
    });
    let response = server.get("/");
    for (name, value) in [
        (
            "content-security-policy",
            "frame-ancestors 'self'; upgrade-insecure-requests",
        ),
        ("x-frame-options", "SAMEORIGIN"),
        ("referrer-policy", ""),
        ("permissions-policy", "camera=()"),
    ] {
        assert_eq!(text(&response, name), value, "{name}");
    }
    for (name, sources) in [
        ("script-src", "'self'; img-src *"),
        ("a b", ""),
        ("", "x"),
        ("img-src", "é"),
    ] {
        let headers = SecurityHeaders::page().directive(name, sources);
        assert!(
            Application::new().middleware(headers).build().is_err(),
            "{name} {sources}"
        );
    }
}
