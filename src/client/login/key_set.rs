//! The keys of bearer tokens, fetched from the URL where their issuer publishes them.

use super::exchange::{default_client, exchange};
use super::provider::check;
use crate::app::security::Jwt;
use crate::error::{Error, Result};
use crate::message::header;

impl Jwt {
    /// Adds the keys of a JSON Web Key Set at a URL (a provider's `jwks_uri`), with the feature `oidc`.
    ///
    /// It is [`keys_from`](Self::keys_from) over a client that follows no redirects. The answer may have 256 KiB and take
    /// 10 seconds. The URL must use TLS or lead to this machine.
    pub fn key_set_at(self, url: &str) -> Self {
        let url = url.to_owned();
        let client = default_client().ok();
        self.keys_from(move |_| {
            let (url, client) = (url.clone(), client.clone());
            async move {
                let set = async {
                    check(&url)?;
                    let client = client.ok_or_else(|| Error::new("the client has no settings"))?;
                    let request = http::Request::get(&url)
                        .header(header::ACCEPT, "application/json")
                        .body(Vec::new())?;
                    let answer = exchange(&client, request).await?;
                    match answer.status().as_u16() {
                        200 => Ok(String::from_utf8(answer.into_body())?),
                        status => Err(Error::new(format!("the server answers {status}"))),
                    }
                };
                let set: Result<String> = set.await;
                set.map_err(|error| Error::new(format!("could not fetch the key set at {url}: {error}")))
            }
        })
    }
}
