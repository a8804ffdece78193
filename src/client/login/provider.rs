//! The providers that visitors may log in with: presets, any issuer of OpenID Connect, any server of OAuth 2.

use std::fmt;
use std::time::Duration;

use openidconnect::{ClientId, ClientSecret, IssuerUrl, RedirectUrl, Scope};
use url::{Host, Url};

use super::attempt::{Attempt, Returned};
use super::oauth2::{OAuth2, OAuth2Endpoints};
use super::open_id::OpenId;
use super::profile::Said;
use crate::app::Context;
use crate::app::security::Refreshed;
use crate::client::http::client::Client;
use crate::error::{Error, Result};

/// A provider that visitors may log in with: see [`Login`](super::Login).
///
/// The provider gives the application an id and a secret. It asks where visitors come back to: `/login/NAME/callback`.
#[must_use = "a provider does nothing until it is given to a `Login`"]
pub struct Provider {
    kind: Kind,
    client_id: String,
    client_secret: String,
    scopes: Vec<String>,
    refetch_pause: Option<Duration>,
}

enum Kind {
    OpenId {
        issuer: String,
    },
    OAuth2 {
        endpoints: OAuth2Endpoints,
        emails: Option<String>,
    },
}

/// A provider whose URLs have been read.
pub(super) enum Ready {
    OpenId(Box<OpenId>),
    OAuth2(Box<OAuth2>),
}

impl Provider {
    /// Makes a provider of OpenID Connect from its issuer, a URL at which it can be discovered.
    ///
    /// Each shard discovers it at the first login. It fetches its keys anew after an hour, and for a token with an
    /// unknown key, at most every 30 seconds.
    pub fn open_id(issuer: &str, client_id: &str, client_secret: &str) -> Self {
        let kind = Kind::OpenId {
            issuer: issuer.to_owned(),
        };
        Self::new(kind, client_id, client_secret, &["email", "profile"])
    }

    /// Makes the provider Google.
    pub fn google(client_id: &str, client_secret: &str) -> Self {
        Self::open_id("https://accounts.google.com", client_id, client_secret)
    }

    /// Makes the provider Microsoft for the accounts of one tenant, named by its id or its domain's.
    ///
    /// The tenant of personal accounts is `9188040d-6c67-4c5b-b112-36a304b66dad`. The tenants `common` and
    /// `organizations` have no issuer of their own, so their tokens are refused.
    pub fn microsoft(tenant: &str, client_id: &str, client_secret: &str) -> Self {
        let issuer = format!("https://login.microsoftonline.com/{tenant}/v2.0");
        Self::open_id(&issuer, client_id, client_secret)
    }

    /// Makes the provider GitHub, which has OAuth 2 alone.
    pub fn github(client_id: &str, client_secret: &str) -> Self {
        let endpoints = OAuth2Endpoints {
            authorization: "https://github.com/login/oauth/authorize".to_owned(),
            token: "https://github.com/login/oauth/access_token".to_owned(),
            profile: "https://api.github.com/user".to_owned(),
        };
        let emails = Some("https://api.github.com/user/emails".to_owned());
        let kind = Kind::OAuth2 { endpoints, emails };
        Self::new(kind, client_id, client_secret, &["read:user", "user:email"])
    }

    /// Makes a provider of OAuth 2 from its URLs.
    pub fn oauth2(endpoints: OAuth2Endpoints, client_id: &str, client_secret: &str) -> Self {
        let kind = Kind::OAuth2 {
            endpoints,
            emails: None,
        };
        Self::new(kind, client_id, client_secret, &[])
    }

    fn new(kind: Kind, client_id: &str, client_secret: &str, scopes: &[&str]) -> Self {
        Self {
            kind,
            client_id: client_id.to_owned(),
            client_secret: client_secret.to_owned(),
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
            refetch_pause: None,
        }
    }

    /// Asks the visitor for another scope.
    pub fn scope(mut self, scope: &str) -> Self {
        self.scopes.push(scope.to_owned());
        self
    }

    /// Sets the shortest time between two fetches of the provider's keys, 30 seconds by default.
    pub fn refetch_pause(mut self, pause: Duration) -> Self {
        self.refetch_pause = Some(pause);
        self
    }

    /// Reads the URLs.
    ///
    /// # Errors
    ///
    /// A URL is invalid, or sends secrets over a network in plain text.
    pub(super) fn prepare(self) -> Result<Ready> {
        let scopes = self.scopes.into_iter().map(Scope::new).collect();
        match self.kind {
            Kind::OpenId { issuer } => {
                check(&issuer)?;
                let mut metadata = Refreshed::new();
                if let Some(pause) = self.refetch_pause {
                    metadata.set_pause(pause);
                }
                let (id, secret) = (ClientId::new(self.client_id), ClientSecret::new(self.client_secret));
                let issuer = IssuerUrl::new(issuer)?;
                let provider = OpenId::new(issuer, id, secret, scopes, metadata);
                Ok(Ready::OpenId(Box::new(provider)))
            }
            Kind::OAuth2 { endpoints, emails } => {
                for url in [&endpoints.authorization, &endpoints.token, &endpoints.profile] {
                    check(url)?;
                }
                let provider = OAuth2::new(endpoints, emails, self.client_id, self.client_secret, scopes)?;
                Ok(Ready::OAuth2(Box::new(provider)))
            }
        }
    }
}

impl Ready {
    /// The URL at the provider to which the visitor is sent.
    pub(super) async fn authorization_url(
        &self,
        cx: &Context,
        http: &Client,
        attempt: &Attempt,
        redirect: RedirectUrl,
    ) -> Result<String> {
        match self {
            Self::OpenId(provider) => provider.authorization_url(cx, http, attempt, redirect).await,
            Self::OAuth2(provider) => Ok(provider.authorization_url(attempt, redirect)),
        }
    }

    /// Exchanges the code of a visitor that comes back, and returns what the provider says about the visitor.
    pub(super) async fn redeem(&self, cx: &Context, http: &Client, returned: Returned) -> Result<Said> {
        match self {
            Self::OpenId(provider) => provider.redeem(cx, http, returned).await,
            Self::OAuth2(provider) => provider.redeem(http, returned).await,
        }
    }
}

/// Checks that a provider's URL uses TLS (RFC 6749 §3.1, §3.2), or leads to this machine.
pub(super) fn check(text: &str) -> Result {
    let url =
        Url::parse(text).map_err(|error| Error::new(format!("the provider's URL `{text}` is invalid: {error}")))?;
    let is_this_machine = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_this_machine => Ok(()),
        _ => Err(Error::new(format!(
            "the provider's URL `{text}` would send secrets in plain text; write https://"
        ))),
    }
}

impl fmt::Debug for Provider {
    /// Shows no secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Provider")
            .field("client_id", &self.client_id)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_in_plain_text_must_be_on_this_machine() {
        for url in [
            "https://a.example",
            "http://127.0.0.1:1/a",
            "http://[::1]/",
            "http://localhost:9",
        ] {
            check(url).unwrap();
        }
        for url in [
            "http://a.example",
            "http://10.0.0.1",
            "http://localhost.example",
            "ftp://a",
            "a",
            "",
        ] {
            check(url).unwrap_err();
        }
    }

    #[test]
    fn every_preset_can_be_prepared() {
        for provider in [
            Provider::google("a", "b"),
            Provider::microsoft("contoso.onmicrosoft.com", "a", "b"),
            Provider::github("a", "b"),
            Provider::open_id("https://login.example/realm/", "a", "b").scope("groups"),
        ] {
            assert!(provider.prepare().is_ok());
        }
    }

    #[test]
    fn the_secret_stays_out_of_debug_texts() {
        let shown = format!("{:?}", Provider::google("the-id", "the-secret"));
        assert!(shown.contains("the-id") && !shown.contains("the-secret"), "{shown}");
    }
}
