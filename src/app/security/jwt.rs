//! JSON Web Tokens (RFC 7519): signed claims of another server, such as a login provider.
//!
//! Each key is pinned to one algorithm, so a token cannot choose another one for it, nor none. A token must say when it
//! expires. If it names its audience, the application must be part of it.
//!
//! The crate `jsonwebtoken` verifies signatures. Times are compared here, because this layer reads no clock.

use core::cell::RefCell;
use core::fmt;
use core::str::FromStr;
use std::time::{Duration, SystemTime};

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::app::application::Application;
use crate::app::context::Context;
use crate::error::{Error, Result};

/// How far clocks may differ: a minute.
const LEEWAY: Duration = Duration::from_secs(60);

/// The most keys of a set.
const KEYS_MAX: usize = 64;

/// Verifies tokens: see [`Application::jwt`].
#[must_use = "a verifier does nothing until it is given to an application"]
pub struct Jwt {
    keys: RefCell<Vec<JwtKey>>,
    issuers: Vec<String>,
    audiences: Vec<String>,
    problem: Option<String>,
}

struct JwtKey {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Jwt {
    /// Makes a verifier without keys, which accepts no token.
    pub fn new() -> Self {
        Self {
            keys: RefCell::default(),
            issuers: Vec::new(),
            audiences: Vec::new(),
            problem: None,
        }
    }

    /// Adds a shared secret for the algorithm HS256, of at least 32 bytes (RFC 7518 §3.2).
    pub fn secret(mut self, secret: &[u8]) -> Self {
        if secret.len() < 32 {
            self.problem = Some("the secret of JWT has fewer than 32 bytes".to_owned());
        }
        match DecodingKey::from_secret(secret) {
            Ok(key) => self.keys.get_mut().push(JwtKey {
                id: None,
                algorithm: Algorithm::HS256,
                key,
            }),
            Err(error) => self.problem = Some(format!("the secret of JWT is invalid: {error}")),
        }
        self
    }

    /// Adds the keys of a JSON Web Key Set (RFC 7517), as a provider publishes it.
    pub fn key_set(mut self, json: &str) -> Self {
        match keys(json) {
            Ok(mut keys) => self.keys.get_mut().append(&mut keys),
            Err(error) => self.problem = Some(error.to_string()),
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
        self.keys.replace(keys(json)?);
        Ok(())
    }

    /// Verifies a token, and returns its claims; `None` if it is malformed, forged, expired or for another audience.
    #[must_use]
    pub fn verify(&self, token: &str, now: SystemTime) -> Option<Value> {
        let header = decode_header(token).ok()?;
        let keys = self.keys.borrow();
        let fits = |key: &&JwtKey| {
            let is_named = key.id.is_none() || header.kid.is_none() || key.id == header.kid;
            key.algorithm == header.alg && is_named
        };
        let claims = keys.iter().filter(fits).find_map(|key| {
            let mut validation = Validation::new(key.algorithm);
            validation.required_spec_claims.clear();
            validation.validate_exp = false;
            validation.validate_aud = false;
            Some(decode::<Value>(token, &key.key, &validation).ok()?.claims)
        })?;
        self.accepts(&claims, now).then_some(claims)
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

/// Reads the keys of a set that are for signatures; each must name its algorithm.
fn keys(json: &str) -> Result<Vec<JwtKey>> {
    let set: JwkSet = serde_json::from_str(json)
        .map_err(|error| Error::new(format!("could not read a set of JSON web keys: {error}")))?;
    let keys = set.keys.iter().take(KEYS_MAX).filter_map(|jwk| {
        let algorithm = Algorithm::from_str(&jwk.common.key_algorithm?.to_string()).ok()?;
        Some(JwtKey {
            id: jwk.common.key_id.clone(),
            algorithm,
            key: DecodingKey::from_jwk(jwk).ok()?,
        })
    });
    let keys: Vec<JwtKey> = keys.collect();
    if keys.is_empty() {
        return Err(Error::new(
            "could not read a set of JSON web keys: it has no key with an algorithm for signatures",
        ));
    }
    Ok(keys)
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
    /// 500 without [`Application::jwt`].
    pub fn jwt_claims<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let jwt: &Jwt = self.shared.state_ref().ok_or_else(|| {
            Error::new("could not verify a token: the application has no keys; set them with Application::jwt")
        })?;
        let Some(token) = self.bearer_token() else {
            return Ok(None);
        };
        let claims = jwt.verify(token, self.wall()?);
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
