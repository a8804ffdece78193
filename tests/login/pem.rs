//! Public keys in PEM, each for its own algorithm. The keys come from rcgen, and the tokens from jsonwebtoken.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, SignatureAlgorithm,
};
use serde_json::json;
use squall::security::{Jwt, JwtAlgorithm};
use std::time::{Duration, SystemTime};

fn key(algorithm: &'static SignatureAlgorithm) -> KeyPair {
    KeyPair::generate_for(algorithm).unwrap()
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn token(key: &KeyPair, algorithm: Algorithm) -> String {
    let pem = key.serialize_pem();
    let signing = match algorithm {
        Algorithm::RS256 | Algorithm::PS256 => EncodingKey::from_rsa_pem(pem.as_bytes()),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(pem.as_bytes()),
        _ => EncodingKey::from_ec_pem(pem.as_bytes()),
    };
    encode(
        &Header::new(algorithm),
        &json!({"sub": "ada", "exp": 2000}),
        &signing.unwrap(),
    )
    .unwrap()
}

#[test]
fn a_public_key_verifies_tokens_of_its_own_algorithm() {
    let (rsa, p256, p384, edwards) = (
        key(&PKCS_RSA_SHA256),
        key(&PKCS_ECDSA_P256_SHA256),
        key(&PKCS_ECDSA_P384_SHA384),
        key(&PKCS_ED25519),
    );
    let cases = [
        (&rsa, JwtAlgorithm::Rs256, Algorithm::RS256),
        (&rsa, JwtAlgorithm::Ps256, Algorithm::PS256),
        (&p256, JwtAlgorithm::Es256, Algorithm::ES256),
        (&p384, JwtAlgorithm::Es384, Algorithm::ES384),
        (&edwards, JwtAlgorithm::EdDsa, Algorithm::EdDSA),
    ];
    for (own, algorithm, _) in cases {
        let jwt = Jwt::new().public_key(algorithm, own.public_key_pem().as_bytes());
        for (signer, _, signed) in cases {
            let is_own = format!("{signed:?}").eq_ignore_ascii_case(&format!("{algorithm:?}"));
            let claims = jwt.verify(&token(signer, signed), at(1000));
            assert_eq!(claims.is_some(), is_own, "{algorithm:?} and {signed:?}");
        }
        assert!(
            jwt.verify(&token(&key(&PKCS_ED25519), Algorithm::EdDSA), at(1000))
                .is_none()
        );
    }
}

#[test]
fn a_token_that_is_signed_with_the_public_key_as_a_secret_is_refused() {
    let rsa = key(&PKCS_RSA_SHA256);
    let pem = rsa.public_key_pem();
    let jwt = Jwt::new().public_key(JwtAlgorithm::Rs256, pem.as_bytes());
    let secret = EncodingKey::from_secret(pem.as_bytes()).unwrap();
    let forged = encode(&Header::new(Algorithm::HS256), &json!({"exp": 2000}), &secret).unwrap();
    assert!(jwt.verify(&forged, at(1000)).is_none());
}

#[test]
fn a_text_without_a_key_is_a_mistake_of_the_application() {
    let p256 = key(&PKCS_ECDSA_P256_SHA256).public_key_pem();
    for (algorithm, pem) in [
        (JwtAlgorithm::Rs256, ""),
        (
            JwtAlgorithm::EdDsa,
            "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n",
        ),
        (JwtAlgorithm::Rs256, &p256),
    ] {
        let jwt = Jwt::new().public_key(algorithm, pem.as_bytes());
        let built = squall::Application::new().jwt(jwt).build();
        assert!(built.is_err(), "{algorithm:?} {pem}");
    }
}
