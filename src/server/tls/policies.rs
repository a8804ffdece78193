//! The policies of a server, read from their files: a configuration of rustls for each, shared by all shards.
//!
//! A policy is a set of certificates with one rule for clients. The name that a client asks for chooses it.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::{NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

use super::builder::{Clients, Tls};
use super::certificates::{Certificates, Presented, read_certificates, read_revocations};
use super::names::Names;
use super::self_signed;
use crate::error::{Error, Result};
use crate::server::config::{self, ListenAddress};
use crate::server::operator_log;
use crate::transport::tls::provider;

/// The protocols that connections may choose (ALPN, RFC 7301), the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [HTTP2.as_bytes(), b"http/1.1"];

/// The name of HTTP/2 (RFC 9113 §3.1).
pub(super) const HTTP2: &str = "h2";

/// Tickets that a client gets after a handshake. 1: each costs a signature's fifth, and a client opens one connection
/// at a time after a pause.
const TICKETS_PER_HANDSHAKE: usize = 1;

/// Where policies come from, and what of them outlives a reload.
#[derive(Debug)]
pub(in crate::server) struct PolicySource {
    provider: Arc<CryptoProvider>,
    tls: Tls,
    /// Whether connections may choose HTTP/2.
    speaks_http2: bool,
    /// One for each policy, in their order.
    ticketers: Vec<Arc<dyn ProducesTickets>>,
    /// The certificate for development, which is made once.
    self_signed: Option<Presented>,
}

/// The policies of a server.
#[derive(Debug)]
pub(in crate::server) struct Policies {
    /// The first is for every name without another.
    all: Vec<Policy>,
    by_name: Names<usize>,
    /// Whether a name without a certificate is rejected.
    is_strict: bool,
    /// Whether a certificate is out of date.
    pub(super) is_out_of_date: bool,
}

/// One configuration.
#[derive(Debug)]
struct Policy {
    config: Arc<ServerConfig>,
    certificates: Arc<Certificates>,
}

impl PolicySource {
    /// Prepares the policies of a server; `None` if it has no certificate.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub(in crate::server) fn of(config: &config::ServerConfig) -> Result<Option<Self>> {
        let Some(tls) = config.tls.clone().or_else(|| config.tls_flags.tls()) else {
            return Ok(None);
        };
        let addresses = config.listen.iter().filter_map(|listen| match listen.address {
            ListenAddress::Tcp(address) => Some(address.ip()).filter(|ip| !ip.is_unspecified()),
            ListenAddress::Unix(_) | ListenAddress::Systemd => None,
        });
        let source = Self::new(tls, &addresses.collect::<Vec<_>>())?;
        Ok(Some(Self {
            speaks_http2: !config.own.no_http2,
            ..source
        }))
    }

    /// Prepares policies, with a certificate for development that is also for these addresses.
    ///
    /// # Errors
    ///
    /// The system gives no random bytes.
    fn new(tls: Tls, addresses: &[IpAddr]) -> Result<Self> {
        let provider = provider::provider();
        let ticketers = (0..=tls.hosts.len()).map(|_| provider::ticketer());
        let ticketers = ticketers
            .collect::<Result<_, _>>()
            .map_err(|error| Error::new(format!("could not make keys for tickets: {error}; check /dev/urandom")))?;
        let self_signed = match tls.is_self_signed {
            true => Some(self_signed::make(addresses, &provider)?),
            false => None,
        };
        Ok(Self {
            provider,
            tls,
            speaks_http2: true,
            ticketers,
            self_signed,
        })
    }

    /// Reads all files at the start, and logs what an operator should know of the certificates.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub(in crate::server) fn read_at_start(&self) -> Result<Policies> {
        let policies = self.read()?;
        if let Some(presented) = &self.self_signed {
            operator_log::self_signed(&self_signed::fingerprint(presented));
        }
        if policies.is_out_of_date {
            tracing::warn!("a certificate is expired or not yet valid; clients will reject it; renew it");
        }
        Ok(policies)
    }

    /// Reads all files, and makes the policies.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or its content cannot be used.
    pub(in crate::server) fn read(&self) -> Result<Policies> {
        let mut all = Vec::new();
        let mut by_name = Names::new();
        let mut is_out_of_date = false;
        let own = std::iter::once(&self.tls);
        let every = own.chain(self.tls.hosts.iter().map(|(_, tls)| tls));
        for (tls, ticketer) in every.zip(&self.ticketers) {
            let presented = self.presented(tls)?;
            is_out_of_date |= presented.iter().any(|presented| presented.is_out_of_date);
            all.push(self.policy(&presented, &tls.clients, ticketer)?);
        }
        for (index, (name, _)) in (1..).zip(&self.tls.hosts) {
            by_name.add(name, index);
        }
        Ok(Policies {
            all,
            by_name,
            is_strict: self.tls.strict_sni,
            is_out_of_date,
        })
    }

    /// Reads the certificates of a policy.
    fn presented(&self, tls: &Tls) -> Result<Vec<Presented>> {
        let read = tls.certificates.iter().map(|files| files.read(&self.provider));
        let made = self.self_signed.clone().filter(|_| tls.is_self_signed);
        made.map(Ok).into_iter().chain(read).collect()
    }

    fn policy(
        &self,
        presented: &[Presented],
        clients: &Clients,
        ticketer: &Arc<dyn ProducesTickets>,
    ) -> Result<Policy> {
        let certificates = Certificates::new(presented).ok_or_else(|| {
            Error::new("could not start TLS: a host has no certificate; give Tls::from_pem(certificate, key)")
        })?;
        let certificates = Arc::new(certificates);
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider));
        let builder = builder
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?;
        let builder = match &clients.authorities {
            None => builder.with_no_client_auth(),
            Some(_) => builder.with_client_cert_verifier(self.verifier(clients)?),
        };
        let resolver = Arc::clone(&certificates);
        let mut config = builder.with_cert_resolver(resolver);
        let protocols = PROTOCOLS.iter().skip(usize::from(!self.speaks_http2));
        config.alpn_protocols = protocols.map(|name| name.to_vec()).collect();
        // The default keeps sessions behind a lock that all shards would take.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // A resumed session is not verified again, so clients with certificates get no ticket.
        if clients.authorities.is_none() {
            config.ticketer = Arc::clone(ticketer);
            config.send_tls13_tickets = TICKETS_PER_HANDSHAKE;
        } else {
            config.send_tls13_tickets = 0;
        }
        Ok(Policy {
            config: Arc::new(config),
            certificates,
        })
    }

    /// Makes the verifier of clients.
    fn verifier(&self, clients: &Clients) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>> {
        let mut roots = RootCertStore::empty();
        for file in clients.authorities.iter() {
            for authority in read_certificates(file)? {
                roots.add(authority).map_err(|error| {
                    Error::new(format!(
                        "could not use an authority in {}: {error}; give certificates of authorities",
                        file.display()
                    ))
                })?;
            }
        }
        let mut lists = Vec::new();
        for file in &clients.revocations {
            lists.extend(read_revocations(file)?);
        }
        let provider = Arc::clone(&self.provider);
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).with_crls(lists);
        if clients.are_optional {
            builder = builder.allow_unauthenticated();
        }
        builder.build().map_err(|error| unusable(&error))
    }
}

impl Policies {
    /// Returns the policy for the name that a client asks for; `None` rejects the client.
    pub(super) fn choose(&self, name: Option<&str>) -> Option<Arc<ServerConfig>> {
        let policy = self.all.get(self.index(name))?;
        let is_known = name.is_none_or(|name| policy.certificates.have(name));
        (is_known || !self.is_strict).then(|| Arc::clone(&policy.config))
    }

    /// Returns whether a request for `host` may not come over a connection for `name`.
    pub(super) fn misdirect(&self, name: Option<&str>, host: &str) -> bool {
        self.all.len() > 1 && self.index(name) != self.index(Some(host))
    }

    fn index(&self, name: Option<&str>) -> usize {
        name.and_then(|name| self.by_name.get(name))
            .copied()
            .unwrap_or_default()
    }
}

fn unusable(error: &dyn std::fmt::Display) -> Error {
    Error::new(format!(
        "could not configure TLS: {error}; check the certificates and authorities"
    ))
}
