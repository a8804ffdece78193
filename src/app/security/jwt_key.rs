//! The keys that verify tokens, each pinned to one algorithm: secrets, PEM files, and key sets (RFC 7517).

use core::str::FromStr;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode};
use serde_json::Value;

use crate::error::{Error, Result};

/// The most keys of a set.
const KEYS_MAX: usize = 64;

/// The fewest bytes of a shared secret (RFC 7518 §3.2).
const SECRET_BYTES_MIN: usize = 32;

/// The algorithm of a public key (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum JwtAlgorithm {
    /// RSA with PKCS #1 v1.5 and SHA-256.
    Rs256,
    /// RSA with PSS and SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

/// A key, and the only algorithm that it verifies.
pub(super) struct JwtKey {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl JwtKey {
    /// Makes a key for HS256 of a shared secret.
    ///
    /// # Errors
    ///
    /// The secret has fewer than 32 bytes.
    pub(super) fn of_secret(secret: &[u8]) -> Result<Self> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(Error::new("the secret of JWT has fewer than 32 bytes"));
        }
        Ok(Self {
            id: None,
            algorithm: Algorithm::HS256,
            key: DecodingKey::from_secret(secret)?,
        })
    }

    /// Makes a key of the PEM text of a public key.
    ///
    /// # Errors
    ///
    /// The text is anything but a public key for this algorithm.
    pub(super) fn of_pem(algorithm: JwtAlgorithm, pem: &[u8]) -> Result<Self> {
        let (algorithm, key) = match algorithm {
            JwtAlgorithm::Rs256 => (Algorithm::RS256, DecodingKey::from_rsa_pem(pem)),
            JwtAlgorithm::Ps256 => (Algorithm::PS256, DecodingKey::from_rsa_pem(pem)),
            JwtAlgorithm::Es256 => (Algorithm::ES256, DecodingKey::from_ec_pem(pem)),
            JwtAlgorithm::Es384 => (Algorithm::ES384, DecodingKey::from_ec_pem(pem)),
            JwtAlgorithm::EdDsa => (Algorithm::EdDSA, DecodingKey::from_ed_pem(pem)),
        };
        let key =
            key.map_err(|error| Error::new(format!("the PEM key of JWT is invalid for {algorithm:?}: {error}")))?;
        Ok(Self {
            id: None,
            algorithm,
            key,
        })
    }

    /// Reads the keys of a set that are for signatures.
    ///
    /// A key without an algorithm is pinned to the usual one of its kind.
    ///
    /// # Errors
    ///
    /// The text is anything but a key set, or has no key for signatures.
    pub(super) fn of_set(json: &str) -> Result<Vec<Self>> {
        let set: JwkSet = serde_json::from_str(json)
            .map_err(|error| Error::new(format!("could not read a set of JSON web keys: {error}")))?;
        let keys = set.keys.iter().take(KEYS_MAX).filter_map(|jwk| {
            Some(Self {
                id: jwk.common.key_id.clone(),
                algorithm: algorithm_of(jwk)?,
                key: DecodingKey::from_jwk(jwk).ok()?,
            })
        });
        let keys: Vec<Self> = keys.collect();
        if keys.is_empty() {
            return Err(Error::new(
                "could not read a set of JSON web keys: it has no key with an algorithm for signatures",
            ));
        }
        Ok(keys)
    }

    /// Reads the public keys of a set that anybody can read.
    ///
    /// # Errors
    ///
    /// As [`of_set`](Self::of_set); or the set has shared secrets alone, with which anybody could sign.
    pub(super) fn of_public_set(json: &str) -> Result<Vec<Self>> {
        let mut keys = Self::of_set(json)?;
        keys.retain(|key| !matches!(key.algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512));
        match keys.is_empty() {
            true => Err(Error::new(
                "could not read a set of JSON web keys: it publishes its secrets, and has no public key",
            )),
            false => Ok(keys),
        }
    }

    /// Whether this key may have signed a token: with its algorithm, and under its id if both have one.
    pub(super) fn fits(&self, header: &Header) -> bool {
        let is_named = self.id.is_none() || header.kid.is_none() || self.id == header.kid;
        self.algorithm == header.alg && is_named
    }

    /// The claims of a token that this key has signed.
    pub(super) fn claims(&self, token: &str) -> Option<Value> {
        let mut validation = Validation::new(self.algorithm);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Some(decode::<Value>(token, &self.key, &validation).ok()?.claims)
    }
}

/// The algorithm that a key of a set is for; `None` for keys that do not sign.
fn algorithm_of(jwk: &Jwk) -> Option<Algorithm> {
    if matches!(&jwk.common.public_key_use, Some(kind) if *kind != PublicKeyUse::Signature) {
        return None;
    }
    if let Some(named) = jwk.common.key_algorithm {
        return Algorithm::from_str(&named.to_string()).ok();
    }
    match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Some(Algorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => Some(Algorithm::ES256),
            EllipticCurve::P384 => Some(Algorithm::ES384),
            _ => None,
        },
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Some(Algorithm::EdDSA),
        // A shared secret without an algorithm could be meant for anything.
        _ => None,
    }
}
