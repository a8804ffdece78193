//! JSON Web Tokens (RFC 7519): signed claims of another server, such as a login provider.
//!
//! Each key is pinned to one algorithm, so a token cannot choose another one for it, nor none. A token must say when it
//! expires. If it names its audience, the application must be part of it.
//!
//! The crate `jsonwebtoken` verifies signatures. Times are compared here, because this layer reads no clock.
//!
//! Keys that another server publishes are fetched when a token needs them. A token with an unknown key has them fetched
//! again, at a bounded rate (`refreshed`).

use core::cell::RefCell;
use core::fmt;
use std::time::{Duration, SystemTime};

use jsonwebtoken::decode_header;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::jwt_key::{JwtAlgorithm, JwtKey};
use super::refreshed::{Need, Refreshed};
use crate::app::application::Application;
use crate::app::boxed::LocalBoxFuture;
use crate::app::context::Context;
use crate::error::{Error, Result};

/// How far clocks may differ: a minute.
const LEEWAY: Duration = Duration::from_secs(60);

/// Verifies tokens: see [`Application::jwt`].
#[must_use = "a verifier does nothing until it is given to an application"]
pub struct Jwt {
    keys: RefCell<Vec<JwtKey>>,
    published: Option<Published>,
    issuers: Vec<String>,
    audiences: Vec<String>,
    problem: Option<String>,
}

/// The keys that another server publishes.
struct Published {
    fetch: Box<FetchKeys>,
    keys: Refreshed<Vec<JwtKey>>,
}

/// Fetches a key set.
type FetchKeys = dyn Fn(&Context) -> LocalBoxFuture<'static, Result<String>>;

/// What some keys say of a token.
enum Verdict {
    Signed(Value),
    /// No key fits its algorithm and its key id; or it names no key, and none of those that fit has signed it.
    Unknown,
    Forged,
}

impl Jwt {
    /// Makes a verifier without keys, which accepts no token.
    pub fn new() -> Self {
        Self {
            keys: RefCell::default(),
            published: None,
            issuers: Vec::new(),
            audiences: Vec::new(),
            problem: None,
        }
    }

    /// Adds a shared secret for the algorithm HS256, of at least 32 bytes (RFC 7518 §3.2).
    pub fn secret(self, secret: &[u8]) -> Self {
        self.with_keys(JwtKey::of_secret(secret).map(|key| vec![key]))
    }

    /// Adds a public key in PEM for one algorithm.
    pub fn public_key(self, algorithm: JwtAlgorithm, pem: &[u8]) -> Self {
        self.with_keys(JwtKey::of_pem(algorithm, pem).map(|key| vec![key]))
    }

    /// Adds the keys of a JSON Web Key Set (RFC 7517), as a provider publishes it.
    ///
    /// A key without an algorithm is for the usual one of its kind: RS256, ES256, ES384 or EdDSA.
    pub fn key_set(self, json: &str) -> Self {
        self.with_keys(JwtKey::of_set(json))
    }

    /// Adds the public keys of a JSON Web Key Set that a function fetches.
    ///
    /// Each shard fetches it for the first token, and anew after an hour. A token with an unknown key has it fetched at once, at
    /// most every 30 seconds. While it cannot be fetched, the known keys serve for a day.
    pub fn keys_from<F>(mut self, fetch: impl Fn(&Context) -> F + 'static) -> Self
    where
        F: Future<Output = Result<String>> + 'static,
    {
        self.published = Some(Published {
            fetch: Box::new(move |cx| Box::pin(fetch(cx))),
            keys: Refreshed::new(),
        });
        self
    }

    /// Sets the shortest time between two fetches of a key set, 30 seconds by default.
    pub fn refetch_pause(mut self, pause: Duration) -> Self {
        match &mut self.published {
            Some(published) => published.keys.set_pause(pause),
            None => self.problem = Some("JWT has a refetch_pause before it has keys to fetch".to_owned()),
        }
        self
    }

    /// Accepts tokens of this issuer; without any, every issuer whose key is known.
    pub fn issuer(mut self, issuer: &str) -> Self {
        self.issuers.push(issuer.to_owned());
        self
    }

    /// Accepts tokens for this audience; without any, tokens for no audience.
    pub fn audience(mut self, audience: &str) -> Self {
        self.audiences.push(audience.to_owned());
        self
    }

    /// Replaces all keys by those of a newer key set, on this shard.
    ///
    /// # Errors
    ///
    /// The text is anything but a key set, or lacks a key for signatures; the keys stay.
    pub fn replace_key_set(&self, json: &str) -> Result {
        self.keys.replace(JwtKey::of_set(json)?);
        Ok(())
    }

    /// Verifies a token, and returns its claims; `None` if it is malformed, forged, expired or for another audience.
    ///
    /// Keys that would have to be fetched count as unknown: see [`Context::jwt_claims`].
    #[must_use]
    pub fn verify(&self, token: &str, now: SystemTime) -> Option<Value> {
        match judge(&self.keys.borrow(), token) {
            Verdict::Signed(claims) => self.accepts(&claims, now).then_some(claims),
            Verdict::Unknown | Verdict::Forged => None,
        }
    }

    /// Verifies a token with all keys, also with those that have to be fetched.
    async fn verify_in(&self, cx: &Context, token: &str) -> Result<Option<Value>> {
        let now = cx.wall()?;
        let mut verdict = judge(&self.keys.borrow(), token);
        if let Some(published) = &self.published {
            for need in [Need::Current, Need::Newer] {
                if matches!(verdict, Verdict::Unknown) {
                    let keys = published.keys.get(cx, need, || {
                        let fetched = (published.fetch)(cx);
                        async move { JwtKey::of_public_set(&fetched.await?) }
                    });
                    verdict = judge(&keys.await?, token);
                }
            }
        }
        Ok(match verdict {
            Verdict::Signed(claims) => self.accepts(&claims, now).then_some(claims),
            Verdict::Unknown | Verdict::Forged => None,
        })
    }

    fn with_keys(mut self, keys: Result<Vec<JwtKey>>) -> Self {
        match keys {
            Ok(mut keys) => self.keys.get_mut().append(&mut keys),
            Err(error) => self.problem = Some(error.to_string()),
        }
        self
    }

    fn accepts(&self, claims: &Value, now: SystemTime) -> bool {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let time = |name: &str| claims.get(name).map(Value::as_f64);
        let time = |name: &str| time(name).map(|time| time.and_then(|time| Duration::try_from_secs_f64(time).ok()));
        let is_young = matches!(time("exp"), Some(Some(end)) if now < end.saturating_add(LEEWAY));
        let has_begun = match time("nbf") {
            None => true,
            Some(begin) => begin.is_some_and(|begin| begin <= now.saturating_add(LEEWAY)),
        };
        let is_known = |names: &[String], claim: &Value| match claim {
            Value::String(name) => names.contains(name),
            Value::Array(all) => all.iter().any(|name| names.iter().any(|known| name == known)),
            _ => false,
        };
        let is_issued = self.issuers.is_empty() || claims.get("iss").is_some_and(|iss| is_known(&self.issuers, iss));
        let is_meant = match claims.get("aud") {
            None => self.audiences.is_empty(),
            Some(aud) => is_known(&self.audiences, aud),
        };
        is_young && has_begun && is_issued && is_meant
    }
}

impl Default for Jwt {
    fn default() -> Self {
        Self::new()
    }
}

/// What some keys say of a token.
fn judge(keys: &[JwtKey], token: &str) -> Verdict {
    // A token whose head cannot be read makes no fetch.
    let Ok(header) = decode_header(token) else {
        return Verdict::Forged;
    };
    let mut fitting = keys.iter().filter(|key| key.fits(&header)).peekable();
    if fitting.peek().is_none() {
        return Verdict::Unknown;
    }
    match fitting.find_map(|key| key.claims(token)) {
        Some(claims) => Verdict::Signed(claims),
        None if header.kid.is_none() => Verdict::Unknown,
        None => Verdict::Forged,
    }
}

impl Application {
    /// Sets how JSON Web Tokens are verified, for [`Context::jwt_claims`].
    pub fn jwt(self, jwt: Jwt) -> Self {
        let problem = jwt.problem.clone();
        self.state(jwt).with_problem(problem)
    }
}

impl Context {
    /// Returns the claims of the bearer token, if it is a valid JSON Web Token.
    ///
    /// # Errors
    ///
    /// 500 without [`Application::jwt`]; 503 if keys are needed that cannot be fetched.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, a fetch of keys goes on for later requests.
    pub async fn jwt_claims<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let jwt: &Jwt = self.shared.state_ref().ok_or_else(|| {
            Error::new("could not verify a token: the application has no keys; set them with Application::jwt")
        })?;
        let Some(token) = self.bearer_token() else {
            return Ok(None);
        };
        let claims = jwt.verify_in(self, token).await?;
        Ok(claims.and_then(|claims| serde_json::from_value(claims).ok()))
    }
}

impl fmt::Debug for Jwt {
    /// Shows no key.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Jwt")
            .field("issuers", &self.issuers)
            .field("audiences", &self.audiences)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::BASE64URL_NOPAD;
    use hmac::{Hmac, KeyInit as _, Mac as _};
    use sha2::Sha256;

    const SECRET: &[u8] = b"the secret of these tests alone, 40 bytes";

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn token(header: &str, claims: &str, secret: &[u8]) -> String {
        let encode = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
        let covered = format!("{}.{}", encode(header), encode(claims));
        let mac = Hmac::<Sha256>::new_from_slice(secret)
            .unwrap()
            .chain_update(&covered)
            .finalize();
        format!("{covered}.{}", BASE64URL_NOPAD.encode(&mac.into_bytes()))
    }

    const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

    #[test]
    fn a_token_is_valid_from_its_begin_to_its_end() {
        let jwt = Jwt::new().secret(SECRET);
        let text = token(HEADER, r#"{"sub":"ada","nbf":1000,"exp":2000}"#, SECRET);
        for (seconds, is_valid) in [(900, false), (940, true), (1500, true), (2059, true), (2060, false)] {
            assert_eq!(jwt.verify(&text, at(seconds)).is_some(), is_valid, "{seconds}");
        }
        assert_eq!(jwt.verify(&text, at(1500)).unwrap()["sub"], "ada");
    }

    #[test]
    fn forged_and_unfit_tokens_are_refused() {
        let jwt = Jwt::new().secret(SECRET).issuer("https://a").audience("app");
        let fit = r#"{"iss":"https://a","aud":["other","app"],"exp":2000}"#;
        let valid = token(HEADER, fit, SECRET);
        assert!(jwt.verify(&valid, at(1000)).is_some());
        let (covered, _) = valid.rsplit_once('.').unwrap();
        for bad in [
            String::new(),
            "a.b.c".to_owned(),
            covered.to_owned(),
            format!("{covered}."),
            token(HEADER, fit, b"another secret of these tests, of 40 bytes"),
            token(r#"{"alg":"none"}"#, fit, SECRET),
            token(r#"{"alg":"HS512"}"#, fit, SECRET),
            token(HEADER, r#"{"iss":"https://a","aud":"app"}"#, SECRET),
            token(HEADER, r#"{"iss":"https://a","aud":"app","exp":"2000"}"#, SECRET),
            token(HEADER, r#"{"iss":"https://b","aud":"app","exp":2000}"#, SECRET),
            token(HEADER, r#"{"iss":"https://a","aud":"other","exp":2000}"#, SECRET),
            token(HEADER, r#"{"iss":"https://a","exp":2000}"#, SECRET),
            token(HEADER, r#"{"aud":"app","exp":2000}"#, SECRET),
            token(
                HEADER,
                r#"{"iss":"https://a","aud":"app","exp":2000,"nbf":"x"}"#,
                SECRET,
            ),
        ] {
            assert!(jwt.verify(&bad, at(1000)).is_none(), "{bad}");
        }
        let anyone = Jwt::new().secret(SECRET);
        assert!(anyone.verify(&valid, at(1000)).is_none(), "a token for others");
    }

    #[test]
    fn keys_of_a_set_are_found_by_their_id_and_replaced() {
        let set = |id: &str, secret: &[u8]| {
            let key = BASE64URL_NOPAD.encode(secret);
            format!(r#"{{"keys":[{{"kty":"oct","kid":"{id}","alg":"HS256","k":"{key}"}}]}}"#)
        };
        let jwt = Jwt::new().key_set(&set("1", SECRET));
        let named = |id: &str| {
            let header = format!(r#"{{"alg":"HS256","kid":"{id}"}}"#);
            token(&header, r#"{"exp":2000}"#, SECRET)
        };
        assert!(jwt.verify(&named("1"), at(1000)).is_some());
        assert!(jwt.verify(&named("2"), at(1000)).is_none());
        jwt.replace_key_set(&set("2", SECRET)).unwrap();
        assert!(jwt.verify(&named("1"), at(1000)).is_none());
        assert!(jwt.verify(&named("2"), at(1000)).is_some());
        for bad in ["", "{}", r#"{"keys":[]}"#, r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#] {
            jwt.replace_key_set(bad).unwrap_err();
        }
        assert!(jwt.verify(&named("2"), at(1000)).is_some());
    }
}
