//! What attackers try: codes of others, old codes, codes twice, tokens for others, forged redirects back.

use std::time::Duration;

use serde_json::json;

use crate::harness::*;
use crate::provider::Provider;
use crate::visits::ADA;

/// A redirect back that must be refused, with the status, and must leave a visitor without a user.
#[track_caller]
fn refused(visitor: &mut Visitor, server: &Running, callback: &str, status: u16) {
    let answer = visitor.get(callback);
    assert_eq!(answer.status, status, "{callback}: {answer:?}");
    assert_eq!(visitor.who(server), "visitor", "{callback}");
}

#[test]
fn a_code_is_good_in_the_browser_that_began_and_in_no_other() {
    let Some(provider) = Provider::start() else { return };
    let server = serve(provider.issuer(), Duration::ZERO);
    let (mut attacker, mut victim) = (Visitor::new(), Visitor::new());
    let url = attacker.begin(&server, "/login/sso");
    let callback = attacker.authorize(&server, &url);
    // Without an attempt of its own, and with one.
    refused(&mut victim, &server, callback.as_str(), 400);
    victim.begin(&server, "/login/sso");
    refused(&mut victim, &server, callback.as_str(), 400);
    // With the state of the victim, PKCE stops the code of the attacker.
    let own = victim.begin(&server, "/login/sso");
    let (_, state) = own.query_pairs().find(|(name, _)| name == "state").unwrap();
    refused(&mut victim, &server, with(&callback, "state", &state).as_str(), 400);
}

#[test]
fn a_code_is_good_once() {
    let Some(provider) = Provider::start() else { return };
    let server = serve(provider.issuer(), Duration::ZERO);
    let mut visitor = Visitor::new();
    let url = visitor.begin(&server, "/login/sso");
    let callback = visitor.authorize(&server, &url);
    // A copy of the browser, cookies included, as malware has it.
    let mut copy = visitor.clone();
    assert_eq!(visitor.get(callback.as_str()).status, 302);
    refused(&mut copy, &server, callback.as_str(), 400);
    // The attempt of the first browser is over.
    assert_eq!(visitor.get(callback.as_str()).status, 400);
    assert_eq!(visitor.who(&server), ADA);
}

#[test]
fn a_code_that_has_expired_is_refused() {
    let Some(provider) = Provider::start() else { return };
    let server = serve(provider.issuer(), Duration::ZERO);
    let mut visitor = Visitor::new();
    let url = visitor.begin(&server, "/login/sso");
    let callback = visitor.authorize(&server, &url);
    provider.expire_codes();
    refused(&mut visitor, &server, callback.as_str(), 400);
}

#[test]
fn an_id_token_with_another_nonce_is_refused() {
    let Some(provider) = Provider::start() else { return };
    let server = serve(provider.issuer(), Duration::ZERO);
    let mut visitor = Visitor::new();
    let url = visitor.begin(&server, "/login/sso");
    // The provider signs the nonce that it was given.
    let callback = visitor.authorize(&server, &with(&url, "nonce", "of another login"));
    refused(&mut visitor, &server, callback.as_str(), 400);
}

#[test]
fn an_id_token_for_others_or_of_others_or_of_another_time_is_refused() {
    let Some(provider) = Provider::start() else { return };
    let server = serve(provider.issuer(), Duration::ZERO);
    for lie in [
        json!({"aud": "another application"}),
        json!({"aud": ["app", "another application"]}),
        json!({"iss": "https://evil.example"}),
        json!({"exp": 1_000_000_000}),
        json!({"nonce": null}),
        json!({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}),
    ] {
        provider.lie(&lie);
        let mut visitor = Visitor::new();
        let url = visitor.begin(&server, "/login/sso");
        let callback = visitor.authorize(&server, &url);
        refused(&mut visitor, &server, callback.as_str(), 400);
    }
    provider.lie(&json!({}));
    assert_eq!(Visitor::new().log_in(&server), ADA);
}

#[test]
fn tokens_with_unknown_keys_make_at_most_one_fetch_in_a_pause() {
    let Some(mut provider) = Provider::start() else { return };
    let server = serve(provider.issuer(), Duration::from_secs(3600));
    assert_eq!(Visitor::new().log_in(&server), ADA);
    provider.rotate("rsa-2");
    for _ in 0..3 {
        let mut visitor = Visitor::new();
        let url = visitor.begin(&server, "/login/sso");
        let callback = visitor.authorize(&server, &url);
        refused(&mut visitor, &server, callback.as_str(), 400);
    }
    assert_eq!(provider.requests("/jwks"), 0);
}

#[test]
fn redirects_back_that_are_malformed_are_400() {
    let Some(provider) = Provider::start() else { return };
    let server = serve(provider.issuer(), Duration::ZERO);
    let long = "c".repeat(5000);
    for (query, keeps_state) in [
        ("", false),
        ("?code=c", false),
        ("?code=c&state=", false),
        ("?code=c&state=%FF", false),
        ("?state=STATE", true),
        ("?error=server_error&state=STATE", true),
        ("?error=%1b%5b2J&state=STATE", true),
        ("?code=c&state=STATE&iss=https://evil.example", true),
        (&format!("?code={long}&state=STATE"), true),
        ("?code=c&state=STATE", true),
        ("?code=%00&state=STATE", true),
    ] {
        let mut visitor = Visitor::new();
        let url = visitor.begin(&server, "/login/sso");
        let (_, state) = url.query_pairs().find(|(name, _)| name == "state").unwrap();
        let query = if keeps_state {
            query.replace("STATE", &state)
        } else {
            query.to_owned()
        };
        refused(
            &mut visitor,
            &server,
            &at(&server, &format!("/login/sso/callback{query}")),
            400,
        );
    }
}
