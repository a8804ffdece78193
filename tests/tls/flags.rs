//! TLS on the command line of an example: certificates by flags, a certificate for development, SIGHUP.

use std::fs;
use std::process::Command;

use crate::authority::Authority;
use crate::client::Options;
use crate::support::eventually;
use crate::support::server::{Server as Example, command};

/// The example `hello`, built with TLS.
const EXAMPLE: &str = "tls_hello";

#[test]
fn the_log_says_the_fingerprint_of_a_certificate_for_development() {
    let server = Example::start(EXAMPLE, &["--tls-self-signed"]);
    let log = server.log();
    let (_, fingerprint) = log
        .split_once("warning: self-signed certificate, SHA-256 ")
        .expect(&log);
    let fingerprint = fingerprint.lines().next().unwrap();
    assert!(log.contains("listening on https://127.0.0.1:"), "{log}");
    let digits = fingerprint.split(':').collect::<String>();
    assert_eq!((fingerprint.len(), digits.len()), (95, 64), "{fingerprint}");
    let accepted = Options::accepting(&digits).connect(server.address());
    assert!(
        accepted
            .unwrap()
            .get("localhost", "/")
            .unwrap()
            .ends_with("Hello, Squall!")
    );
    let other = "0".repeat(64);
    Options::accepting(&other)
        .connect(server.address())
        .map(drop)
        .unwrap_err();
}

#[test]
fn flags_name_certificates_and_sighup_reads_them_anew() {
    let authority = Authority::new();
    let (own, other) = (authority.issue(&["localhost"]), authority.issue(&["other.example"]));
    let next = authority.issue_as("next", &["localhost"], |_| ());
    let of_client = authority.issue(&["client.example"]);
    let revoked = authority.issue_numbered("revoked.example", 7);
    let files = |one: &std::path::Path, two: &std::path::Path| format!("{},{}", one.display(), two.display());
    let server = Example::start(
        EXAMPLE,
        &[
            "--tls-cert",
            &files(&own.certificate, &other.certificate),
            "--tls-key",
            &files(&own.key, &other.key),
            "--tls-client-ca",
            &authority.file().display().to_string(),
            "--tls-client-crl",
            &authority.revoke(&[7]).display().to_string(),
            "--strict-sni",
        ],
    );
    let options = Options::presenting(&authority, &of_client);
    let unknown = options.clone().name("unknown.example").connect(server.address());
    let refused = unknown.map(drop).unwrap_err().to_string();
    assert!(refused.contains("nrecogni"), "{refused}");
    let revoked = Options::presenting(&authority, &revoked).connect(server.address());
    let refused = revoked.and_then(|mut client| client.get("localhost", "/"));
    assert!(refused.unwrap_err().to_string().contains("CertificateRevoked"));
    let certificate = |name: &str| {
        options
            .clone()
            .name(name)
            .connect(server.address())
            .unwrap()
            .certificate()
    };
    assert_eq!(certificate("localhost"), own.chain[0].to_vec());
    assert_eq!(certificate("other.example"), other.chain[0].to_vec());
    let anonymous = Options::trusting(&authority).connect(server.address());
    anonymous
        .and_then(|mut client| client.get("localhost", "/"))
        .map(drop)
        .unwrap_err();

    fs::copy(&next.certificate, &own.certificate).unwrap();
    fs::copy(&next.key, &own.key).unwrap();
    server.signal("HUP");
    eventually("the certificate is reloaded", || {
        server.log().contains("reloaded the certificates")
    });
    assert_eq!(certificate("localhost"), next.chain[0].to_vec());

    fs::write(&own.key, "no key").unwrap();
    server.signal("HUP");
    eventually("the fault is logged", || {
        server.log().contains("could not reload the certificates: ")
    });
    assert_eq!(certificate("localhost"), next.chain[0].to_vec());
    assert_eq!(server.log().matches("the old ones stay in use").count(), 1);
}

/// Without anything to reload, a hangup ends a process as it always did.
#[test]
fn a_server_without_certificates_ends_at_a_hangup() {
    use std::os::unix::process::ExitStatusExt as _;
    // A program that is started under nohup inherits that SIGHUP is ignored; so does a test.
    let hello = command(EXAMPLE);
    let mut with_default_signals = Command::new("env");
    with_default_signals
        .arg("--default-signal=HUP")
        .arg(hello.get_program())
        .args(hello.get_args());
    let server = Example::start_by(with_default_signals, 1, &[]);
    server.signal("HUP");
    assert_eq!(server.wait().signal(), Some(1));
}
