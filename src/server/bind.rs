//! Binds the addresses of a server before any shard starts, and knows what is spoken on each.

use std::fmt;

use squall_shards::{BindError, InheritedListener, Listeners, Shards, inherited_listeners};

use super::accepted::Entry;
use super::config::{Listen, ListenAddress, Scheme, ServerConfig};
#[cfg(feature = "reload")]
use super::reload::is_supervised;
use super::tls::settings::NEEDS_FEATURE;
use crate::error::{Error, Result};

/// An address that is bound, and what is spoken there.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    pub(super) listeners: Listeners,
    pub(super) entry: Entry,
}

impl Bound {
    fn new(listeners: Listeners, scheme: Option<Scheme>, config: &ServerConfig) -> Self {
        // Some kernels lack the option (gVisor); a server without this bound still serves.
        if let Err(error) = listeners.limit_unsent(config.own.max_unsent_bytes) {
            tracing::warn!(%error, "could not set TCP_NOTSENT_LOWAT; unsent bytes per connection are unbounded");
        }
        Self {
            entry: entry(scheme, &listeners, config),
            listeners,
        }
    }

    /// Returns the port if the address speaks TLS over TCP.
    pub(super) fn https_port(&self) -> Option<u16> {
        let address = self.listeners.tcp_address()?;
        (self.entry != Entry::Plain).then_some(address.port())
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.listeners.tcp_address() {
            Some(address) if self.entry != Entry::Plain => write!(formatter, "https://{address}"),
            _ => self.listeners.fmt(formatter),
        }
    }
}

/// Binds the addresses, or takes their listeners over from a supervisor.
///
/// # Errors
///
/// An address cannot be bound, it speaks TLS and the server has no certificate, or a redirect leads to no address.
pub(super) fn bind_all(config: &ServerConfig, shards: &Shards) -> Result<Vec<Bound>> {
    #[cfg(feature = "reload")]
    if config.own.reload && is_supervised() {
        return take_over(config, shards);
    }
    let mut all = Vec::new();
    for listen in &config.listen {
        bind(listen, shards, config, &mut all)?;
    }
    check_redirect(config, &all)?;
    Ok(all)
}

/// Binds an address, or takes over the sockets of systemd, for all shards.
fn bind(listen: &Listen, shards: &Shards, config: &ServerConfig, all: &mut Vec<Bound>) -> Result {
    check(listen, config)?;
    let count = shards.count();
    let mut listeners = Vec::new();
    match &listen.address {
        ListenAddress::Tcp(address) => {
            let bound = match config.own.share_port {
                true => Listeners::bind_tcp_shared(*address, count)?,
                false => Listeners::bind_tcp(*address, count)?,
            };
            if config.own.steer_by_cpu {
                bound.steer_by_cpu(shards.cpus())?;
            }
            listeners.push(bound);
        }
        ListenAddress::Unix(path) => listeners.push(Listeners::bind_unix(path, config.own.unix_socket_mode, count)?),
        ListenAddress::Systemd => {
            let inherited = inherited_listeners()?;
            if inherited.is_empty() {
                return Err(Error::new(
                    "could not listen on systemd's sockets: LISTEN_FDS is not set for this process; start it from a socket unit",
                ));
            }
            for listener in inherited {
                listeners.push(inherit(listener, count)?);
            }
        }
    }
    all.extend(
        listeners
            .into_iter()
            .map(|listeners| Bound::new(listeners, listen.scheme, config)),
    );
    Ok(())
}

/// Takes over the listeners of a supervisor, which has bound the addresses in their order.
#[cfg(feature = "reload")]
fn take_over(config: &ServerConfig, shards: &Shards) -> Result<Vec<Bound>> {
    config.listen.iter().try_for_each(|listen| check(listen, config))?;
    // Only the sockets of systemd are several for one address, and then for the last.
    let schemes = config.listen.iter().map(|listen| listen.scheme);
    let last = config.listen.last().and_then(|listen| listen.scheme);
    let schemes = schemes.chain(std::iter::repeat(last));
    let inherited = inherited_listeners()?.into_iter().zip(schemes);
    let take_over = |(listener, scheme)| Ok(Bound::new(inherit(listener, shards.count())?, scheme, config));
    inherited.map(take_over).collect()
}

/// Refuses a redirect to HTTPS if no address speaks it.
fn check_redirect(config: &ServerConfig, bound: &[Bound]) -> Result {
    if !config.own.redirect_to_https || bound.iter().any(|bound| bound.entry != Entry::Plain) {
        return Ok(());
    }
    let why = match cfg!(feature = "rustls") {
        true => "no address speaks it; add --listen https://:443 and a certificate",
        false => NEEDS_FEATURE,
    };
    Err(Error::new(format!("could not redirect to HTTPS: {why}")))
}

/// Refuses an address that speaks TLS if the server cannot.
fn check(listen: &Listen, config: &ServerConfig) -> Result {
    if listen.scheme != Some(Scheme::Https) || config.has_certificate() {
        return Ok(());
    }
    let why = match cfg!(feature = "rustls") {
        true => "the server has no certificate; give --tls-cert and --tls-key, or Server::tls",
        false => NEEDS_FEATURE,
    };
    Err(Error::new(format!(
        "could not listen on https://{}: {why}",
        listen.address
    )))
}

/// Returns what connections begin with: what the scheme says, or else TLS on TCP if the server has a certificate.
#[cfg(feature = "rustls")]
fn entry(scheme: Option<Scheme>, listeners: &Listeners, config: &ServerConfig) -> Entry {
    let is_secure = match scheme {
        Some(scheme) => scheme == Scheme::Https,
        None => config.has_certificate() && listeners.tcp_address().is_some(),
    };
    if is_secure { Entry::Tls } else { Entry::Plain }
}

#[cfg(not(feature = "rustls"))]
fn entry(_: Option<Scheme>, _: &Listeners, _: &ServerConfig) -> Entry {
    Entry::Plain
}

pub(super) fn inherit(listener: InheritedListener, shards: usize) -> Result<Listeners, BindError> {
    match listener {
        InheritedListener::Tcp(listener) => Listeners::inherit_tcp(listener, shards),
        InheritedListener::Unix(listener) => Listeners::inherit_unix(listener, shards),
    }
}
