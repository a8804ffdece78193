//! Visitors that log in: with OpenID Connect, with plain OAuth 2, again, after the keys have changed, in two tabs.

use std::time::Duration;

use squall::login::{Login, OAuth2Endpoints};
use squall::prelude::*;
use squall::security::Sessions;

use crate::harness::*;
use crate::provider::Provider;

/// What the application calls the provider's only visitor.
pub(crate) const ADA: &str = "sso:ada-7 Ada Lovelace ada@example.com";

#[test]
fn a_visitor_logs_in_and_ends_where_it_wanted_to_go() {
    let Some(provider) = Provider::start() else { return };
    let server = serve(provider.issuer(), Duration::ZERO);
    let mut visitor = Visitor::new();
    let url = visitor.begin(&server, "/login/sso?next=/who%3Fa%3Db");
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "app"),
        ("scope", "openid email profile"),
        ("code_challenge_method", "S256"),
    ] {
        let found = url.query_pairs().find(|(known, _)| known == name);
        assert_eq!(
            found.map(|(_, value)| value.into_owned()).as_deref(),
            Some(value),
            "{name}"
        );
    }
    let callback = visitor.authorize(&server, &url);
    let entered = visitor.get(callback.as_str());
    assert_eq!(
        (entered.status, entered.field("location")),
        (302, Some(&b"/who?a=b"[..])),
        "{entered:?}"
    );
    assert_eq!(entered.field("cache-control"), Some(&b"no-store"[..]));
    assert_eq!(visitor.who(&server), ADA);
    // Of both a login and of all that follow, one discovery.
    assert_eq!(Visitor::new().log_in(&server), ADA);
    assert_eq!(provider.requests("/.well-known/openid-configuration"), 1);
    assert_eq!(provider.requests("/jwks"), 1);
}

#[test]
fn a_login_leads_to_no_other_host() {
    let Some(provider) = Provider::start() else { return };
    let server = serve(provider.issuer(), Duration::ZERO);
    for next in [
        "//evil.example",
        "https://evil.example",
        "/%5Cevil.example",
        &"/a".repeat(600),
    ] {
        let mut visitor = Visitor::new();
        let url = visitor.begin(&server, &format!("/login/sso?next={next}"));
        let callback = visitor.authorize(&server, &url);
        let entered = visitor.get(callback.as_str());
        assert_eq!(
            (entered.status, entered.field("location")),
            (302, Some(&b"/"[..])),
            "{next}"
        );
    }
}

#[test]
fn keys_that_have_changed_are_fetched_for_the_first_token_that_needs_them() {
    let Some(mut provider) = Provider::start() else { return };
    let server = serve(provider.issuer(), Duration::ZERO);
    assert_eq!(Visitor::new().log_in(&server), ADA);
    for key in ["rsa-2", "ec-3"] {
        provider.rotate(key);
        assert_eq!(Visitor::new().log_in(&server), ADA, "{key}");
        assert_eq!(provider.requests("/jwks"), 1, "{key}");
    }
}

#[test]
fn a_provider_without_openid_connect_vouches_by_its_profile() {
    let Some(provider) = Provider::start() else { return };
    let issuer = provider.issuer().to_owned();
    let server = Running::start(1, move || {
        let endpoints = OAuth2Endpoints {
            authorization: format!("{issuer}/auth"),
            token: format!("{issuer}/token"),
            profile: format!("{issuer}/me"),
        };
        let plain = squall::login::Provider::oauth2(endpoints, "app", "the secret of the application");
        let plain = plain.scope("openid").scope("email").scope("profile");
        Application::new()
            .cookie_secret("the secret of the cookies of these tests")
            .sessions(Sessions::in_memory())
            .login(Login::new().provider("plain", plain), admit)
            .get("/who", async |cx: &mut Context| -> Result<String> {
                Ok(cx.session().await?.user().unwrap_or_default())
            })
    });
    let mut visitor = Visitor::new();
    let url = visitor.begin(&server, "/login/plain");
    let callback = visitor.authorize(&server, &url);
    assert_eq!(visitor.get(callback.as_str()).status, 302);
    assert_eq!(visitor.who(&server), "plain:ada-7 Ada Lovelace ada@example.com");
}

#[test]
fn a_provider_that_is_down_answers_503_and_serves_again_once_it_is_up() {
    let Some(mut provider) = Provider::start() else { return };
    let server = serve(provider.issuer(), Duration::ZERO);
    provider.stop();
    assert_eq!(Visitor::new().get(&at(&server, "/login/sso")).status, 503);
    provider.rotate("rsa-2");
    assert_eq!(Visitor::new().log_in(&server), ADA);
}

#[test]
fn a_visitor_that_cancels_gets_403() {
    let Some(provider) = Provider::start() else { return };
    let server = serve(provider.issuer(), Duration::ZERO);
    let mut visitor = Visitor::new();
    provider.lie(&serde_json::json!({"cancels": true}));
    let url = visitor.begin(&server, "/login/sso");
    let callback = visitor.authorize(&server, &url);
    let answer = visitor.get(callback.as_str());
    assert_eq!(answer.status, 403, "{answer:?}");
    assert_eq!(visitor.who(&server), "visitor");
}
