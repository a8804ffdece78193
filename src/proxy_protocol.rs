//! The header with which a proxy tells whose connection it passes on: the PROXY protocol of HAProxy, versions 1 and 2.
//!
//! A parser without state: it is given all bytes so far. The source is HAProxy's `doc/proxy-protocol.txt`.
//!
//! Invariant: the same bytes give the same result, or the same error, however they are split. Nothing is parsed beyond
//! the longest header that is accepted.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::message::parse_digits;

/// The first bytes of version 1.
const TEXT_BEGINNING: &[u8] = b"PROXY ";

/// The longest header of version 1, with its CRLF (§2.1).
const TEXT_BYTES_MAX: usize = 107;

/// The first bytes of version 2 (§2.2), which begin no request of HTTP.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The bytes of version 2 before its addresses: signature, version and command, family, length.
const FIXED_BYTES: usize = 16;

/// The longest header of version 2. 4 KiB: proxies add names and identifiers, of some hundred bytes.
const BINARY_BYTES_MAX: usize = 4096;

/// What the bytes so far are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeader {
    /// The beginning of a header.
    Incomplete,
    /// A whole header.
    Complete {
        /// How many bytes it has; the client's follow.
        bytes: usize,
        /// The client's address; `None` if the proxy connects for itself, such as for a health check, or does not know it.
        client: Option<SocketAddr>,
    },
}

/// The bytes differ from every header of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidProxyHeader;

/// Reads a header at the beginning of a connection, of which these are all bytes so far.
///
/// # Errors
///
/// The bytes begin no header, or it is malformed or too long.
pub fn parse_proxy_header(received: &[u8]) -> Result<ProxyHeader, InvalidProxyHeader> {
    let begins = |with: &[u8]| received.iter().zip(with).all(|(byte, expected)| byte == expected);
    if begins(TEXT_BEGINNING) {
        text(received)
    } else if begins(SIGNATURE) {
        binary(received)
    } else {
        Err(InvalidProxyHeader)
    }
}

/// Reads version 1: `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443` and CRLF.
fn text(received: &[u8]) -> Result<ProxyHeader, InvalidProxyHeader> {
    let within = received.get(..TEXT_BYTES_MAX).unwrap_or(received);
    let Some(end) = within.iter().position(|byte| *byte == b'\n') else {
        return match received.len() >= TEXT_BYTES_MAX {
            true => Err(InvalidProxyHeader),
            false => Ok(ProxyHeader::Incomplete),
        };
    };
    let line = within
        .get(TEXT_BEGINNING.len()..end)
        .and_then(|line| line.strip_suffix(b"\r"));
    let line = str::from_utf8(line.ok_or(InvalidProxyHeader)?).map_err(|_| InvalidProxyHeader)?;
    let client = match line.split_once(' ') {
        None if line == "UNKNOWN" => None,
        Some(("UNKNOWN", _)) => None,
        Some(("TCP4", addresses)) => Some(text_addresses::<Ipv4Addr>(addresses)?),
        Some(("TCP6", addresses)) => Some(text_addresses::<Ipv6Addr>(addresses)?),
        _ => return Err(InvalidProxyHeader),
    };
    Ok(ProxyHeader::Complete { bytes: end + 1, client })
}

/// Reads both addresses and both ports, and returns those of the client.
fn text_addresses<A>(addresses: &str) -> Result<SocketAddr, InvalidProxyHeader>
where
    A: core::str::FromStr + Into<IpAddr>,
{
    let mut items = addresses.split(' ');
    let mut address = || items.next()?.parse::<A>().ok();
    let (client, _server) = address().zip(address()).ok_or(InvalidProxyHeader)?;
    let mut port = || parse_digits::<u16>(items.next()?.as_bytes());
    let (client_port, _server_port) = port().zip(port()).ok_or(InvalidProxyHeader)?;
    match items.next() {
        None => Ok(SocketAddr::new(client.into(), client_port)),
        Some(_) => Err(InvalidProxyHeader),
    }
}

/// Reads version 2.
fn binary(received: &[u8]) -> Result<ProxyHeader, InvalidProxyHeader> {
    let byte = |at: usize| received.get(at).copied();
    let is_local = match byte(SIGNATURE.len()) {
        None => return Ok(ProxyHeader::Incomplete),
        Some(0x20) => true,
        Some(0x21) => false,
        Some(_) => return Err(InvalidProxyHeader),
    };
    let Some(&[high, low]) = received.get(FIXED_BYTES - 2..FIXED_BYTES).and_then(<[u8]>::first_chunk) else {
        return Ok(ProxyHeader::Incomplete);
    };
    let bytes = FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if bytes > BINARY_BYTES_MAX {
        return Err(InvalidProxyHeader);
    }
    let Some(header) = received.get(FIXED_BYTES..bytes) else {
        return Ok(ProxyHeader::Incomplete);
    };
    // TCP over IPv4 or IPv6; of other families, Unix sockets for example, the addresses mean nothing here.
    let client = match byte(SIGNATURE.len() + 1) {
        _ if is_local => None,
        Some(0x11) => Some(binary_client::<4>(header)?),
        Some(0x21) => Some(binary_client::<16>(header)?),
        _ => None,
    };
    Ok(ProxyHeader::Complete { bytes, client })
}

/// Returns the first address and the first port of the addresses of version 2.
fn binary_client<const BYTES: usize>(header: &[u8]) -> Result<SocketAddr, InvalidProxyHeader>
where
    [u8; BYTES]: Into<IpAddr>,
{
    let (client, rest) = header.split_first_chunk::<BYTES>().ok_or(InvalidProxyHeader)?;
    let (_server, rest) = rest.split_first_chunk::<BYTES>().ok_or(InvalidProxyHeader)?;
    let (port, rest) = rest.split_first_chunk().ok_or(InvalidProxyHeader)?;
    let (_server_port, _more) = rest.split_first_chunk::<2>().ok_or(InvalidProxyHeader)?;
    Ok(SocketAddr::new((*client).into(), u16::from_be_bytes(*port)))
}

impl fmt::Display for InvalidProxyHeader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the connection does not begin with a header of the PROXY protocol")
    }
}

impl core::error::Error for InvalidProxyHeader {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A header of version 2 with this command, family and rest.
    fn binary_header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    /// The rest of a header of version 2 for this client.
    fn binary_addresses(client: SocketAddr) -> (u8, Vec<u8>) {
        let port = client.port().to_be_bytes();
        match client.ip() {
            IpAddr::V4(ip) => (0x11, [&ip.octets()[..], &[127, 0, 0, 1], &port, &[1, 187]].concat()),
            IpAddr::V6(ip) => (0x21, [&ip.octets()[..], &[0; 16], &port, &[1, 187]].concat()),
        }
    }

    fn complete(header: &[u8], client: Option<&str>) {
        let client = client.map(|client| client.parse().unwrap());
        let expected = ProxyHeader::Complete {
            bytes: header.len(),
            client,
        };
        let with_request = [header, b"GET / HTTP/1.1\r\n"].concat();
        assert_eq!(
            parse_proxy_header(&with_request),
            Ok(expected),
            "{}",
            header.escape_ascii()
        );
        for end in 0..header.len() {
            let read = parse_proxy_header(&header[..end]);
            assert_eq!(read, Ok(ProxyHeader::Incomplete), "{} at {end}", header.escape_ascii());
        }
    }

    #[test]
    fn both_versions_name_the_client_whole_and_byte_by_byte() {
        complete(
            b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n",
            Some("192.0.2.1:56324"),
        );
        complete(b"PROXY TCP6 2001:db8::1 ::1 65535 443\r\n", Some("[2001:db8::1]:65535"));
        complete(b"PROXY UNKNOWN\r\n", None);
        complete(b"PROXY UNKNOWN ffff:: whatever 1 2\r\n", None);
        for client in ["192.0.2.1:80", "[2001:db8::1]:80"] {
            let (family, addresses) = binary_addresses(client.parse().unwrap());
            complete(&binary_header(0x21, family, &addresses), Some(client));
            // Type-length-value fields follow the addresses.
            let with_fields = [&addresses[..], &[4, 0, 2, 0, 0]].concat();
            complete(&binary_header(0x21, family, &with_fields), Some(client));
            complete(&binary_header(0x20, family, &addresses), None);
        }
        complete(&binary_header(0x20, 0, b""), None);
        complete(&binary_header(0x21, 0x31, &[0; 216]), None);
    }

    #[test]
    fn malformed_headers_are_refused() {
        let long = [b"PROXY UNKNOWN ", &[b'x'; 100][..]].concat();
        for header in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"PROXYTCP4",
            b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 1\r\n",
            b"PROXY TCP4 192.0.2.1  198.51.100.1 56324 443\r\n",
            b"PROXY TCP4 2001:db8::1 ::1 56324 443\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.1 +1 443\r\n",
            b"PROXY UDP4 192.0.2.1 198.51.100.1 1 443\r\n",
            b"PROXY UNKNOWNX\r\n",
            b"PROXY \r\n",
            &long,
            &binary_header(0x21, 0x11, &[0; 11]),
            &binary_header(0x21, 0x21, &[0; 35]),
            &binary_header(0x31, 0x11, &[0; 12]),
            &binary_header(0x22, 0x11, &[0; 12]),
            &binary_header(0x21, 0x11, &[0; BINARY_BYTES_MAX]),
        ] {
            assert_eq!(
                parse_proxy_header(header),
                Err(InvalidProxyHeader),
                "{}",
                header.escape_ascii()
            );
        }
    }

    proptest! {
        #[test]
        fn every_client_is_named_by_both_versions(client: SocketAddr) {
            let client = SocketAddr::new(client.ip(), client.port());
            let (family, addresses) = binary_addresses(client);
            let kind = if client.is_ipv4() { "TCP4" } else { "TCP6" };
            let text = format!("PROXY {kind} {} {} {} 443\r\n", client.ip(), client.ip(), client.port());
            for header in [text.as_bytes(), &binary_header(0x21, family, &addresses)] {
                let expected = ProxyHeader::Complete { bytes: header.len(), client: Some(client) };
                prop_assert_eq!(parse_proxy_header(header), Ok(expected));
            }
        }

        /// A result does not change when more bytes come, except from incomplete.
        #[test]
        fn any_bytes_give_the_same_result_however_they_are_split(
            beginning in prop_oneof![Just(&b""[..]), Just(TEXT_BEGINNING), Just(&SIGNATURE[..]), Just(&b"PROXY TCP4 1.1.1.1 "[..])],
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let all = [beginning, &bytes].concat();
            let whole = parse_proxy_header(&all);
            for end in 0..all.len() {
                let part = parse_proxy_header(&all[..end]);
                prop_assert!(part == Ok(ProxyHeader::Incomplete) || part == whole, "{:?} at {}: {:?}", whole, end, part);
            }
            if let Ok(ProxyHeader::Complete { bytes, .. }) = whole {
                prop_assert!(bytes <= all.len());
            }
        }
    }
}
