//! The client's address and scheme behind trusted proxies: Tornado's `xheaders`, limited to a list of proxies.
//!
//! It is off until the application lists its proxies, because any client can send these fields.
//!
//! - `X-Real-Ip` takes precedence over `X-Forwarded-For`, which is read from the right, past trusted proxies.
//! - `X-Scheme` takes precedence over `X-Forwarded-Proto`, of which the last item counts.
//! - A port behind an address is dropped.
//! - An invalid address or scheme changes nothing. A proxy writes an empty item if it knows no address, and the
//!   client may have invented the items to its left.
//! - `Forwarded`, `X-Forwarded-Host` and `X-Forwarded-Port` are ignored, as in Tornado.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::str::FromStr;

use ipnet::IpNet;

use crate::message::Fields;

/// The remote end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Peer {
    /// The remote address; `None` on a Unix socket.
    pub address: Option<SocketAddr>,
    /// Whether the connection is encrypted.
    pub is_secure: bool,
}

/// The proxies whose fields about the client are trusted.
///
/// ```
/// # use squall::TrustedProxies;
/// let proxies: TrustedProxies = "127.0.0.1, 10.0.0.0/8, fd00::/8, unix".parse()?;
/// # Ok::<(), squall::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    /// Whether peers on a Unix socket are trusted; written `unix` in the list.
    unix: bool,
}

/// The error of an entry that is not an address, a network or `unix`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidProxy {
    entry: String,
}

impl TrustedProxies {
    /// Returns whether the peer is a trusted proxy.
    #[must_use]
    pub fn trusts(&self, peer: &Peer) -> bool {
        match peer.address {
            Some(address) => self.contains(address.ip()),
            None => self.unix,
        }
    }

    fn contains(&self, address: IpAddr) -> bool {
        // A dual-stack listener reports an IPv4 address as one mapped into IPv6.
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// The client's address: from the fields if `peer` is trusted, else that of the connection.
    pub(in crate::app) fn remote_ip(&self, peer: &Peer, fields: Fields<'_>) -> Option<IpAddr> {
        let connected = peer.address.map(|address| address.ip().to_canonical());
        if !self.trusts(peer) {
            return connected;
        }
        let mut real_ip = fields.get_all("x-real-ip");
        let forwarded = match (real_ip.next(), real_ip.next()) {
            (Some(value), None) => parse_address(value),
            // A proxy sets one line. Of two, the client may have sent either.
            (Some(_), Some(_)) => None,
            (None, _) => self.forwarded_for(fields),
        };
        forwarded.or(connected)
    }

    /// The rightmost entry of `X-Forwarded-For` that is not a trusted proxy; the leftmost entry if all are trusted.
    fn forwarded_for(&self, fields: Fields<'_>) -> Option<IpAddr> {
        let mut chosen = None;
        let entries = fields
            .get_all("x-forwarded-for")
            .flat_map(|line| line.split(|&byte| byte == b','));
        for entry in entries {
            // Each untrusted or unreadable entry replaces those to its left, which the client may have invented.
            match (parse_address(entry), chosen) {
                (Some(address), Some(_)) if self.contains(address) => {}
                (address, _) => chosen = Some(address),
            }
        }
        chosen.flatten()
    }

    /// Whether the client spoke TLS: from the fields if `peer` is trusted, else as the connection is.
    pub(in crate::app) fn is_secure(&self, peer: &Peer, fields: Fields<'_>) -> bool {
        self.forwarded_secure(peer, fields).unwrap_or(peer.is_secure)
    }

    /// Whether the fields of a trusted `peer` say that the client spoke TLS; `None` without a trusted answer.
    pub(in crate::app) fn forwarded_secure(&self, peer: &Peer, fields: Fields<'_>) -> Option<bool> {
        if !self.trusts(peer) {
            return None;
        }
        let lines = |name| fields.get_all(name).last();
        let scheme = lines("x-scheme").or_else(|| lines("x-forwarded-proto"));
        let last = scheme?.rsplit(|&byte| byte == b',').next()?.trim_ascii();
        // The last item is that of the nearest proxy, which is the trusted one.
        let is = |scheme: &[u8]| last.eq_ignore_ascii_case(scheme);
        (is(b"https") || is(b"http")).then(|| is(b"https"))
    }
}

impl FromStr for TrustedProxies {
    type Err = InvalidProxy;

    /// Reads a comma-separated list of addresses, networks in CIDR notation, and `unix`.
    fn from_str(list: &str) -> Result<Self, InvalidProxy> {
        let mut proxies = Self::default();
        for entry in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            if entry == "unix" {
                proxies.unix = true;
            } else {
                let address = entry.parse().map(|address: IpAddr| IpNet::from(address));
                let network = address.or_else(|_| entry.parse()).map_err(|_| InvalidProxy {
                    entry: entry.to_owned(),
                })?;
                proxies.networks.push(network);
            }
        }
        Ok(proxies)
    }
}

impl fmt::Display for InvalidProxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "could not read the trusted proxy `{}`: its form is unknown; give an IP address, a network such as 10.0.0.0/8, or `unix`",
            self.entry
        )
    }
}

impl core::error::Error for InvalidProxy {}

/// Reads an address as proxies write it, with or without a port, which is dropped.
///
/// Forms: `203.0.113.9`, `2001:db8::1`, `[2001:db8::1]`, and Azure's `203.0.113.9:4711` and `[2001:db8::1]:4711`. A
/// zone (`%eth0`) is rejected, because it has a meaning on one machine only.
fn parse_address(value: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(value).ok()?.trim_ascii();
    let address = match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(literal) => IpAddr::V6(literal.parse().ok()?),
        None => text.parse().ok().or_else(|| with_port(text))?,
    };
    Some(address.to_canonical())
}

fn with_port(text: &str) -> Option<IpAddr> {
    let both: SocketAddr = text.parse().ok().filter(|_| !text.contains('%'))?;
    Some(both.ip())
}
