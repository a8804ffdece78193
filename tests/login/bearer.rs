//! Bearer tokens whose keys their issuer publishes: fetched once, fetched anew for an unknown key, at a bounded rate.

use std::time::Duration;

use squall::prelude::*;
use squall::security::Jwt;

use crate::harness::*;
use crate::provider::Provider;

/// Logs in at the application beside, and returns the ID token, as a token that the provider has signed.
fn token(provider: &Provider) -> String {
    let server = {
        let issuer = provider.issuer().to_owned();
        Running::start(1, move || application(&issuer, Duration::ZERO))
    };
    let mut visitor = Visitor::new();
    visitor.log_in(&server);
    provider.last_id_token()
}

fn api(provider: &Provider, pause: Duration) -> Running {
    let (issuer, url) = (provider.issuer().to_owned(), format!("{}/jwks", provider.issuer()));
    Running::start(1, move || {
        let jwt = Jwt::new()
            .key_set_at(&url)
            .refetch_pause(pause)
            .issuer(&issuer)
            .audience("app");
        Application::new()
            .jwt(jwt)
            .get("/", async |cx: &mut Context| -> Result<String> {
                let claims: Option<serde_json::Value> = cx.jwt_claims().await?;
                Ok(claims.map_or_else(|| "visitor".to_owned(), |claims| claims["sub"].to_string()))
            })
    })
}

#[track_caller]
fn ask(server: &Running, token: &str) -> (u16, String) {
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n");
    let answer = server.connection().exchange(request.as_bytes(), "GET").unwrap();
    (answer.status, String::from_utf8(answer.body).unwrap())
}

fn said(text: &str) -> (u16, String) {
    (200, text.to_owned())
}

#[test]
fn a_token_is_verified_with_the_keys_that_its_issuer_publishes_now() {
    let Some(mut provider) = Provider::start() else { return };
    let server = api(&provider, Duration::ZERO);
    let first = token(&provider);
    let (before, ada) = (provider.requests("/jwks"), said("\"ada-7\""));
    assert_eq!(ask(&server, &first), ada);
    assert_eq!(ask(&server, &first), ada);
    assert_eq!(provider.requests("/jwks"), before + 1);
    for key in ["rsa-2", "ec-3"] {
        provider.rotate(key);
        assert_eq!(ask(&server, &token(&provider)), ada, "{key}");
        assert_eq!(ask(&server, &first), said("visitor"), "its key is withdrawn");
    }
}

#[test]
fn forged_tokens_are_refused_and_make_few_fetches() {
    let Some(provider) = Provider::start() else { return };
    let server = api(&provider, Duration::from_secs(3600));
    let good = token(&provider);
    assert_eq!(ask(&server, &good), said("\"ada-7\""));
    let before = provider.requests("/jwks");
    let (covered, _) = good.rsplit_once('.').unwrap();
    let (_, payload) = covered.split_once('.').unwrap();
    let with_header = |header: &str| {
        let header = data_encoding::BASE64URL_NOPAD.encode(header.as_bytes());
        format!("{header}.{payload}.{}", "A".repeat(342))
    };
    for forged in [
        format!("{covered}.{}", "A".repeat(342)),
        format!("{covered}."),
        covered.to_owned(),
        with_header(r#"{"alg":"none"}"#),
        with_header(r#"{"alg":"HS256","kid":"rsa-1"}"#),
        with_header(r#"{"alg":"RS256","kid":"unknown"}"#),
        with_header(r#"{"alg":"RS256"}"#),
        "x".to_owned(),
        ".".repeat(1000),
    ] {
        assert_eq!(ask(&server, &forged), said("visitor"), "{forged:.60}");
    }
    assert_eq!(provider.requests("/jwks"), before);
    assert_eq!(ask(&server, &good), said("\"ada-7\""));
}

#[test]
fn keys_that_cannot_be_fetched_are_503_and_known_ones_serve_on() {
    let Some(mut provider) = Provider::start() else { return };
    let known = api(&provider, Duration::ZERO);
    let unknown = api(&provider, Duration::ZERO);
    let good = token(&provider);
    assert_eq!(ask(&known, &good), said("\"ada-7\""));
    provider.stop();
    assert_eq!(ask(&known, &good), said("\"ada-7\""));
    assert_eq!(ask(&unknown, &good).0, 503);
}
