//! OpenID Connect: discovery, the redirect, the exchange of the code, and the verification of the ID token.
//!
//! The crate `openidconnect` verifies the ID token (Core 1.0 §3.1.3.7): its signature by a published key, issuer,
//! audience, expiry and nonce. A token with an unknown key has the keys fetched anew, at a bounded rate.

use data_encoding::BASE64URL_NOPAD;
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreIdToken, CoreProviderMetadata, CoreTokenResponse,
    CoreUserInfoClaims,
};
use openidconnect::{
    AccessTokenHash, AuthType, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, CsrfToken,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, IssuerUrl, Nonce, OAuth2TokenResponse,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, SignatureVerificationError,
    SubjectIdentifier, TokenResponse,
};
use serde_json::{Map, Value};

use super::attempt::{Attempt, Returned};
use super::exchange::{exchange, refused, unavailable};
use super::profile::Said;
use crate::app::Context;
use crate::app::security::{Need, Refreshed, is_equal_in_constant_time};
use crate::client::http::client::Client;
use crate::error::{Error, Result};

/// A provider with discovery.
pub(super) struct OpenId {
    issuer: IssuerUrl,
    client_id: ClientId,
    client_secret: ClientSecret,
    scopes: Vec<Scope>,
    metadata: Refreshed<CoreProviderMetadata>,
}

/// A client of the crate with the endpoints that discovery gives.
type Discovered =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

impl OpenId {
    pub(super) fn new(
        issuer: IssuerUrl,
        client_id: ClientId,
        client_secret: ClientSecret,
        scopes: Vec<Scope>,
        metadata: Refreshed<CoreProviderMetadata>,
    ) -> Self {
        Self {
            issuer,
            client_id,
            client_secret,
            scopes,
            metadata,
        }
    }

    /// The URL at the provider to which the visitor is sent.
    pub(super) async fn authorization_url(
        &self,
        cx: &Context,
        http: &Client,
        attempt: &Attempt,
        redirect: RedirectUrl,
    ) -> Result<String> {
        let client = self.client(cx, http, Need::Current).await?.set_redirect_uri(redirect);
        let (state, nonce) = (attempt.state.clone(), attempt.nonce.clone());
        let verifier = PkceCodeVerifier::new(attempt.verifier.clone());
        let request = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                move || CsrfToken::new(state),
                move || Nonce::new(nonce),
            )
            .add_scopes(self.scopes.iter().cloned())
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        let (url, _, _) = request.url();
        Ok(url.into())
    }

    /// Exchanges the code for tokens, and returns what they say about the visitor.
    ///
    /// # Errors
    ///
    /// 400 if the provider refuses the code, or if its ID token is not for this attempt; 503 if it does not answer.
    pub(super) async fn redeem(&self, cx: &Context, http: &Client, returned: Returned) -> Result<Said> {
        let Returned {
            attempt,
            redirect,
            code,
        } = returned;
        self.check_issuer(cx)?;
        let client = self.client(cx, http, Need::Current).await?;
        let send = |request: HttpRequest| exchange(http, request);
        let exchanged = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|error| unavailable("redeem a code", error))?
            .set_pkce_verifier(PkceCodeVerifier::new(attempt.verifier))
            .set_redirect_uri(std::borrow::Cow::Owned(redirect))
            .request_async(&send)
            .await;
        let tokens = exchanged.map_err(|error| match error {
            RequestTokenError::ServerResponse(error) => refused("redeem a code", error),
            error => unavailable("redeem a code", with_causes(&error)),
        })?;
        let id_token = tokens
            .id_token()
            .ok_or_else(|| refused("verify an ID token", "the provider has sent none"))?;
        let nonce = Nonce::new(attempt.nonce);
        let mut verified = subject_of(&client, &tokens, id_token, &nonce);
        if matches!(&verified, Err(failure) if is_unknown_key(failure)) {
            let client = self.client(cx, http, Need::Newer).await?;
            verified = subject_of(&client, &tokens, id_token, &nonce);
        }
        let subject = verified.map_err(|failure| refused("verify an ID token", with_causes(&failure)))?;
        let mut claims = payload(id_token)?;
        let access_token = tokens.access_token().secret().clone();
        if !claims.contains_key("email") || !claims.contains_key("name") {
            add_user_info(&client, http, &tokens, &subject, &mut claims).await?;
        }
        Ok(Said {
            subject: subject.to_string(),
            claims,
            access_token,
        })
    }

    /// Compares the issuer in the response with the one that was asked (RFC 9207): a mix-up of two providers.
    fn check_issuer(&self, cx: &Context) -> Result {
        let issuer: Option<String> = cx.optional_query_param("iss")?;
        match issuer {
            Some(issuer) if !is_equal_in_constant_time(&issuer, self.issuer.as_str()) => {
                Err(refused("accept a code", "it comes from another issuer"))
            }
            _ => Ok(()),
        }
    }

    async fn client(&self, cx: &Context, http: &Client, need: Need) -> Result<Discovered> {
        let metadata = self
            .metadata
            .get(cx, need, || discover(http.clone(), self.issuer.clone()));
        let metadata = CoreProviderMetadata::clone(&*metadata.await?);
        let methods = metadata.token_endpoint_auth_methods_supported();
        // The default is Basic (Discovery 1.0 §3).
        let has_basic = methods.is_none_or(|methods| methods.contains(&CoreClientAuthMethod::ClientSecretBasic));
        let (id, secret) = (self.client_id.clone(), self.client_secret.clone());
        let client = CoreClient::from_provider_metadata(metadata, id, Some(secret));
        Ok(client.set_auth_type(if has_basic {
            AuthType::BasicAuth
        } else {
            AuthType::RequestBody
        }))
    }
}

/// Adds what the provider says at its UserInfo endpoint, if it has one (Core 1.0 §5.3).
async fn add_user_info(
    client: &Discovered,
    http: &Client,
    tokens: &CoreTokenResponse,
    subject: &SubjectIdentifier,
    claims: &mut Map<String, Value>,
) -> Result {
    // The subject is compared, so that a token of another account adds nothing.
    let Ok(request) = client.user_info(tokens.access_token().clone(), Some(subject.clone())) else {
        return Ok(());
    };
    let send = |request: HttpRequest| exchange(http, request);
    let answer: Result<CoreUserInfoClaims, _> = request.request_async(&send).await;
    let answer = answer.map_err(|error| unavailable("read the profile of a visitor", with_causes(&error)))?;
    if let Value::Object(said) = serde_json::to_value(&answer)? {
        for (name, value) in said.into_iter().filter(|(_, value)| !value.is_null()) {
            claims.entry(name).or_insert(value);
        }
    }
    Ok(())
}

/// Fetches the metadata of a provider and its keys.
async fn discover(http: Client, issuer: IssuerUrl) -> Result<CoreProviderMetadata> {
    let send = |request: HttpRequest| exchange(&http, request);
    let found = CoreProviderMetadata::discover_async(issuer.clone(), &send).await;
    found.map_err(|error| {
        unavailable(
            &format!("discover the provider {}", issuer.as_str()),
            with_causes(&error),
        )
    })
}

/// Verifies an ID token, and returns its subject.
fn subject_of(
    client: &Discovered,
    tokens: &CoreTokenResponse,
    id_token: &CoreIdToken,
    nonce: &Nonce,
) -> Result<SubjectIdentifier, ClaimsVerificationError> {
    let verifier = client.id_token_verifier();
    let claims = id_token.claims(&verifier, nonce)?;
    if let Some(expected) = claims.access_token_hash() {
        let wrong = |error: &dyn std::fmt::Display| ClaimsVerificationError::Other(error.to_string());
        let algorithm = id_token.signing_alg().map_err(|error| wrong(&error))?;
        let key = id_token.signing_key(&verifier).map_err(|error| wrong(&error))?;
        let hash = AccessTokenHash::from_token(tokens.access_token(), algorithm, key).map_err(|error| wrong(&error))?;
        if hash != *expected {
            return Err(wrong(&"the access token is not the one that the ID token names"));
        }
    }
    Ok(claims.subject().clone())
}

/// Whether keys and algorithms that the provider publishes now could verify the token.
fn is_unknown_key(failure: &ClaimsVerificationError) -> bool {
    matches!(
        failure,
        ClaimsVerificationError::SignatureVerification(
            SignatureVerificationError::NoMatchingKey | SignatureVerificationError::DisallowedAlg(_)
        )
    )
}

/// All claims of a verified ID token, also those that the crate does not know.
fn payload(id_token: &CoreIdToken) -> Result<Map<String, Value>> {
    let text = id_token.to_string();
    let payload = text.split('.').nth(1).unwrap_or_default();
    let bytes = BASE64URL_NOPAD.decode(payload.as_bytes()).map_err(Error::new)?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// An error with its causes in one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
