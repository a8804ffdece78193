//! What a failed handshake means, in a sentence: which certificate, what is wrong with it, and what to do.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use httpdate::fmt_http_date;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

use super::error::TlsError;
use crate::transport::tls::handshake::HandshakeError;
use crate::transport::tls::session::SessionError;

/// The most names of a certificate that an error shows.
const NAMES_SHOWN_MAX: usize = 4;

/// The last second that a certificate, and a date of HTTP, can name: the end of the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;

/// Explains why the handshake with a host has failed.
pub(super) fn explain(host: &str, error: HandshakeError) -> TlsError {
    let error = match error {
        HandshakeError::Broken(error) => {
            return TlsError::handshake(format!(
                "the connection to {host} broke in the handshake of TLS: {error}; retry later"
            ));
        }
        HandshakeError::Ended | HandshakeError::Session(SessionError::NotOpen) => {
            return TlsError::handshake(format!(
                "{host} closed the connection in the handshake of TLS; check that its port speaks TLS"
            ));
        }
        HandshakeError::Session(SessionError::Tls(error)) => error,
        HandshakeError::Session(error) => {
            return TlsError::handshake(format!("the handshake of TLS with {host} failed: {error}; retry later"));
        }
    };
    match error {
        Error::InvalidCertificate(error) => TlsError::certificate(certificate(host, &error)),
        Error::NoCertificatesPresented => {
            TlsError::certificate(format!("{host} presents no certificate; configure one on the server"))
        }
        error => TlsError::handshake(handshake(host, &error)),
    }
}

/// Says why a certificate was rejected.
fn certificate(host: &str, error: &CertificateError) -> String {
    match error {
        CertificateError::Expired => {
            format!("the certificate of {host} has expired; renew it, or check the clock of this machine")
        }
        CertificateError::ExpiredContext { not_after, .. } => format!(
            "the certificate of {host} expired on {}; renew it, or check the clock of this machine",
            date(*not_after)
        ),
        CertificateError::NotValidYet => {
            format!("the certificate of {host} is not valid yet; check the clock of this machine")
        }
        CertificateError::NotValidYetContext { not_before, .. } => format!(
            "the certificate of {host} is valid from {}; check the clock of this machine",
            date(*not_before)
        ),
        CertificateError::NotValidForName => {
            format!("the certificate of {host} is for another name; check the URL")
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            format!(
                "the certificate of {host} is for another name{}; check the URL",
                names(presented)
            )
        }
        CertificateError::UnknownIssuer => format!(
            "no trusted authority has issued the certificate of {host}; trust the authority with ClientTls::root, or \
             have the server send its whole chain"
        ),
        CertificateError::BadSignature => {
            format!("the certificate of {host} is not signed by the issuer it names; check which server answers")
        }
        CertificateError::Revoked => format!("the certificate of {host} was revoked; replace it on the server"),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            format!("the certificate of {host} is for another purpose; give the server one for servers")
        }
        other => format!("the certificate of {host} is invalid: {other}; replace it on the server"),
    }
}

/// Says why a handshake has failed for another reason.
fn handshake(host: &str, error: &Error) -> String {
    match error {
        Error::AlertReceived(alert) => match alert {
            AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
                format!("{host} requires a certificate of the client; give one with ClientTls::identity")
            }
            AlertDescription::UnrecognisedName => {
                format!("{host} has no certificate for this name; check the URL")
            }
            AlertDescription::NoApplicationProtocol => {
                format!("{host} speaks no protocol that this client speaks; check the URL")
            }
            alert => format!("{host} refused the handshake of TLS with the alert {alert:?}; check its log"),
        },
        Error::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion) => {
            format!("{host} answers without TLS; check the port, or write http:// or ws://")
        }
        Error::PeerIncompatible(reason) => {
            format!("{host} speaks no TLS that this client speaks: {reason:?}; enable TLS 1.2 or 1.3 on the server")
        }
        error => format!("the handshake of TLS with {host} failed: {error}; check which server answers"),
    }
}

/// The names of a certificate, behind a colon. rustls gives them as `DnsName("a.example")`.
fn names(presented: &[String]) -> String {
    let mut shown = String::new();
    for name in presented.iter().take(NAMES_SHOWN_MAX) {
        let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
        let name = inner.unwrap_or(name).trim_matches('"');
        let separator = if shown.is_empty() { ": " } else { ", " };
        // A string takes whatever is written.
        write!(shown, "{separator}{name}").unwrap_or_default();
    }
    if presented.len() > NAMES_SHOWN_MAX {
        shown.push_str(" and others");
    }
    shown
}

fn date(time: UnixTime) -> String {
    fmt_http_date(UNIX_EPOCH + Duration::from_secs(time.as_secs().min(LAST_SECOND)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    fn said(error: Error) -> String {
        explain("a.example", HandshakeError::Session(SessionError::Tls(error))).to_string()
    }

    #[test]
    fn a_rejected_certificate_is_explained() {
        let now = time(1_700_000_000);
        for (error, expected) in [
            (
                CertificateError::ExpiredContext {
                    time: now,
                    not_after: time(1_609_459_200),
                },
                "the certificate of a.example expired on Fri, 01 Jan 2021 00:00:00 GMT; renew it, or check the clock of \
                 this machine",
            ),
            (
                CertificateError::NotValidYetContext {
                    time: now,
                    not_before: time(u64::MAX),
                },
                "the certificate of a.example is valid from Fri, 31 Dec 9999 23:59:59 GMT; check the clock of this machine",
            ),
            (
                CertificateError::NotValidForNameContext {
                    expected: "a.example".try_into().unwrap(),
                    presented: ["b", "c", "d", "e", "f"]
                        .map(|name| format!("DnsName(\"{name}\")"))
                        .to_vec(),
                },
                "the certificate of a.example is for another name: b, c, d, e and others; check the URL",
            ),
            (
                CertificateError::NotValidForNameContext {
                    expected: "a.example".try_into().unwrap(),
                    presented: Vec::new(),
                },
                "the certificate of a.example is for another name; check the URL",
            ),
            (
                CertificateError::UnknownIssuer,
                "no trusted authority has issued the certificate of a.example; trust the authority with ClientTls::root, or \
                 have the server send its whole chain",
            ),
        ] {
            let error = explain("a.example", HandshakeError::Session(SessionError::Tls(error.into())));
            assert_eq!(error.to_string(), expected);
            assert!(error.is_certificate());
        }
    }

    #[test]
    fn a_failed_handshake_is_explained() {
        for (error, expected) in [
            (
                Error::AlertReceived(AlertDescription::CertificateRequired),
                "ClientTls::identity",
            ),
            (
                Error::AlertReceived(AlertDescription::UnrecognisedName),
                "no certificate for this name",
            ),
            (
                Error::AlertReceived(AlertDescription::HandshakeFailure),
                "with the alert HandshakeFailure",
            ),
            (
                Error::InvalidMessage(InvalidMessage::InvalidContentType),
                "answers without TLS",
            ),
            (Error::DecryptError, "check which server answers"),
        ] {
            let said = said(error);
            assert!(said.contains(expected) && said.contains("a.example"), "{said}");
        }
        let ended = explain("a.example", HandshakeError::Ended).to_string();
        assert!(ended.contains("closed the connection in the handshake"), "{ended}");
    }
}
