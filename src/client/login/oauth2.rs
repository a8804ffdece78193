//! OAuth 2 without OpenID Connect: the provider vouches for the visitor by its answer to a request with the access token.

use oauth2::basic::BasicClient;
use oauth2::{
    AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet, HttpRequest,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, TokenResponse as _, TokenUrl,
};
use serde_json::{Map, Value};

use super::attempt::{Attempt, Returned};
use super::exchange::{exchange, refused, unavailable};
use super::profile::Said;
use crate::client::http::client::Client;
use crate::error::Result;
use crate::message::header;

/// Where a provider of OAuth 2 is found.
#[derive(Debug, Clone)]
pub struct OAuth2Endpoints {
    /// The page where the visitor logs in.
    pub authorization: String,
    /// The URL that gives tokens for codes.
    pub token: String,
    /// The URL that describes the visitor of an access token in JSON, with `sub` or `id`.
    pub profile: String,
}

/// A provider without OpenID Connect.
pub(super) struct OAuth2 {
    client: Known,
    scopes: Vec<Scope>,
    profile_url: String,
    /// The URL that lists the visitor's addresses, as GitHub's does.
    emails_url: Option<String>,
}

type Known = BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

impl OAuth2 {
    /// # Errors
    ///
    /// A URL is invalid.
    pub(super) fn new(
        endpoints: OAuth2Endpoints,
        emails_url: Option<String>,
        client_id: String,
        client_secret: String,
        scopes: Vec<Scope>,
    ) -> Result<Self> {
        let client = BasicClient::new(ClientId::new(client_id))
            .set_client_secret(ClientSecret::new(client_secret))
            .set_auth_uri(AuthUrl::new(endpoints.authorization)?)
            .set_token_uri(TokenUrl::new(endpoints.token)?);
        Ok(Self {
            client,
            scopes,
            profile_url: endpoints.profile,
            emails_url,
        })
    }

    /// The URL at the provider to which the visitor is sent.
    pub(super) fn authorization_url(&self, attempt: &Attempt, redirect: RedirectUrl) -> String {
        let state = attempt.state.clone();
        let verifier = PkceCodeVerifier::new(attempt.verifier.clone());
        let client = self.client.clone().set_redirect_uri(redirect);
        let request = client
            .authorize_url(move || CsrfToken::new(state))
            .add_scopes(self.scopes.iter().cloned())
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        let (url, _) = request.url();
        url.into()
    }

    /// Exchanges the code for an access token, and asks whose it is.
    ///
    /// # Errors
    ///
    /// 400 if the provider refuses the code; 503 if it does not answer.
    pub(super) async fn redeem(&self, http: &Client, returned: Returned) -> Result<Said> {
        let Returned {
            attempt,
            redirect,
            code,
        } = returned;
        let send = |request: HttpRequest| exchange(http, request);
        let exchanged = self
            .client
            .exchange_code(AuthorizationCode::new(code))
            .set_pkce_verifier(PkceCodeVerifier::new(attempt.verifier))
            .set_redirect_uri(std::borrow::Cow::Owned(redirect))
            .request_async(&send)
            .await;
        let tokens = exchanged.map_err(|error| match error {
            RequestTokenError::ServerResponse(error) => refused("redeem a code", error),
            // GitHub refuses a code with 200 and an error in place of the token.
            RequestTokenError::Parse(error, _) => refused("redeem a code", error),
            error => unavailable("redeem a code", error),
        })?;
        let access_token = tokens.access_token().secret().clone();
        let Value::Object(mut claims) = fetch(http, &self.profile_url, &access_token).await? else {
            return Err(unavailable(
                "read the profile of a visitor",
                "it is not an object of JSON",
            ));
        };
        let subject = subject(&claims)
            .ok_or_else(|| unavailable("read the profile of a visitor", "it has neither `sub` nor `id`"))?;
        if let Some(url) = &self.emails_url {
            let emails = fetch(http, url, &access_token).await?;
            add_names_of_open_id(&mut claims, &emails);
        }
        Ok(Said {
            subject,
            claims,
            access_token,
        })
    }
}

/// Sends a GET with an access token, and returns its JSON.
async fn fetch(http: &Client, url: &str, token: &str) -> Result<Value> {
    let what = "read the profile of a visitor";
    let request = http::Request::get(url)
        .header(header::ACCEPT, "application/json")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Vec::new())?;
    let answer = exchange(http, request)
        .await
        .map_err(|error| unavailable(what, error))?;
    if answer.status() != 200 {
        return Err(unavailable(what, answer.status()));
    }
    serde_json::from_slice(answer.body()).map_err(|error| unavailable(what, error))
}

/// The provider's id of an account, a text or a whole number.
fn subject(claims: &Map<String, Value>) -> Option<String> {
    match claims.get("sub").or_else(|| claims.get("id"))? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) if number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

/// Gives GitHub's values the names of OpenID Connect, with the verified primary address.
fn add_names_of_open_id(claims: &mut Map<String, Value>, emails: &Value) {
    for (theirs, ours) in [("login", "preferred_username"), ("avatar_url", "picture")] {
        if let Some(value) = claims.get(theirs).cloned() {
            claims.insert(ours.to_owned(), value);
        }
    }
    let is_true = |email: &Value, name: &str| email.get(name).and_then(Value::as_bool) == Some(true);
    let mut all = emails.as_array().into_iter().flatten();
    let primary = all.find(|email| is_true(email, "primary") && is_true(email, "verified"));
    // The address in the profile is the one to show, which need not be verified.
    claims.remove("email");
    if let Some(address) = primary.and_then(|email| email.get("email")) {
        claims.insert("email".to_owned(), address.clone());
        claims.insert("email_verified".to_owned(), Value::Bool(true));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_subject_is_a_text_or_a_whole_number() {
        let of = |claims: Value| subject(claims.as_object().unwrap());
        assert_eq!(
            of(json!({"id": 583_231, "login": "octocat"})),
            Some("583231".to_owned())
        );
        assert_eq!(of(json!({"sub": "a", "id": 1})), Some("a".to_owned()));
        for bad in [
            json!({}),
            json!({"id": null}),
            json!({"id": 1.5}),
            json!({"sub": ""}),
            json!({"id": [1]}),
        ] {
            assert_eq!(of(bad.clone()), None, "{bad}");
        }
    }

    #[test]
    fn github_gives_the_primary_address_if_it_is_verified() {
        let profile = json!({"id": 1, "login": "ada", "avatar_url": "https://a/b", "email": "shown@a"});
        let with = |emails: Value| {
            let mut claims = profile.as_object().unwrap().clone();
            add_names_of_open_id(&mut claims, &emails);
            claims
        };
        let claims = with(json!([
            {"email": "old@a", "primary": false, "verified": true},
            {"email": "ada@a", "primary": true, "verified": true},
        ]));
        assert_eq!(claims["email"], "ada@a");
        assert_eq!(claims["email_verified"], true);
        assert_eq!(claims["preferred_username"], "ada");
        assert_eq!(claims["picture"], "https://a/b");
        for unfit in [
            json!([{"email": "ada@a", "primary": true, "verified": false}]),
            json!([]),
            json!({"message": "no"}),
        ] {
            assert!(!with(unfit.clone()).contains_key("email"), "{unfit}");
        }
    }
}
