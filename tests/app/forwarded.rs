//! The client address and scheme that proxies forward, after Tornado's `XHeaderTest`.

use core::net::SocketAddr;

use crate::app_client::AppClient;
use squall::TrustedProxies;
use squall::app::Peer;
use squall::prelude::*;

fn client(proxies: Option<&str>) -> AppClient {
    let application = Application::new().get("/", async |cx: &mut Context| {
        let address = cx
            .remote_ip()
            .map_or_else(|| "none".to_owned(), |address| address.to_string());
        format!("{address} {}", cx.protocol())
    });
    AppClient::new(match proxies {
        Some(proxies) => application.trusted_proxies(proxies.parse().unwrap()),
        None => application,
    })
    .unwrap()
}

fn seen(client: &AppClient, peer: Peer, headers: &[(&str, &str)]) -> String {
    let request = client.get("/").peer(peer);
    let request = headers
        .iter()
        .fold(request, |request, (name, value)| request.header(name, value));
    request.send().unwrap().text()
}

fn peer(address: &str) -> Peer {
    Peer {
        address: Some(SocketAddr::new(address.parse().unwrap(), 4711)),
        is_secure: false,
    }
}

#[test]
fn a_trusted_proxy_tells_the_address_and_the_scheme() {
    let client = client(Some("127.0.0.1, 5.5.5.5, 10.0.0.0/8"));
    for (headers, expected) in [
        (&[][..], "127.0.0.1 http"),
        (&[("X-Real-IP", "4.4.4.4")], "4.4.4.4 http"),
        (
            &[("X-Real-IP", "2620:0:1cfe:face:b00c::3")],
            "2620:0:1cfe:face:b00c::3 http",
        ),
        (&[("X-Real-IP", "4.4.4.4<script>")], "127.0.0.1 http"),
        (&[("X-Real-IP", "www.google.com")], "127.0.0.1 http"),
        (&[("X-Real-IP", "4.4.4.4"), ("X-Real-IP", "6.6.6.6")], "127.0.0.1 http"),
        (&[("X-Forwarded-For", "127.0.0.1, 4.4.4.4")], "4.4.4.4 http"),
        (&[("X-Forwarded-For", "127.0.0.1, 4.4.4.4, 5.5.5.5")], "4.4.4.4 http"),
        (
            &[("X-Forwarded-For", "1.1.1.1, 4.4.4.4, 10.9.8.7, 5.5.5.5")],
            "4.4.4.4 http",
        ),
        (
            &[("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-For", "4.4.4.4, 5.5.5.5")],
            "4.4.4.4 http",
        ),
        (&[("X-Forwarded-For", "10.0.0.1, 5.5.5.5")], "10.0.0.1 http"),
        (&[("X-Forwarded-For", "4.4.4.4, bogus, 5.5.5.5")], "127.0.0.1 http"),
        (&[("X-Forwarded-For", "4.4.4.4<script>")], "127.0.0.1 http"),
        (&[("X-Forwarded-For", "4.4.4.4, ")], "127.0.0.1 http"),
        (
            &[("X-Real-IP", "4.4.4.4"), ("X-Forwarded-For", "6.6.6.6")],
            "4.4.4.4 http",
        ),
        (&[("X-Scheme", "https")], "127.0.0.1 https"),
        (&[("X-Forwarded-Proto", "https")], "127.0.0.1 https"),
        (&[("X-Forwarded-Proto", "https , http")], "127.0.0.1 http"),
        (&[("X-Forwarded-Proto", "http,https")], "127.0.0.1 https"),
        (
            &[("X-Forwarded-Proto", "http"), ("X-Forwarded-Proto", "https")],
            "127.0.0.1 https",
        ),
        (&[("X-Forwarded-Proto", "unknown")], "127.0.0.1 http"),
        (
            &[("X-Scheme", "http"), ("X-Forwarded-Proto", "https")],
            "127.0.0.1 http",
        ),
        (&[("Forwarded", "for=4.4.4.4;proto=https")], "127.0.0.1 http"),
    ] {
        assert_eq!(seen(&client, peer("127.0.0.1"), headers), expected, "{headers:?}");
    }
    assert_eq!(
        seen(&client, peer("127.0.0.1"), &[]),
        "127.0.0.1 http",
        "values forwarded with one request do not leak into the next"
    );
}

#[test]
fn the_port_behind_an_address_is_dropped() {
    let client = client(Some("127.0.0.1, 5.5.5.5, fd00::/8"));
    for (written, expected) in [
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        (" \t203.0.113.9:4711\t ", "203.0.113.9"),
        ("[::ffff:203.0.113.9]:1", "203.0.113.9"),
        ("203.0.113.9:65535", "203.0.113.9"),
        ("203.0.113.9:65536", "127.0.0.1"),
        ("203.0.113.9:", "127.0.0.1"),
        ("203.0.113.9:http", "127.0.0.1"),
        ("203.0.113.9:-1", "127.0.0.1"),
        ("203.0.113.9 :80", "127.0.0.1"),
        ("[203.0.113.9]", "127.0.0.1"),
        ("[203.0.113.9]:80", "127.0.0.1"),
        ("[2001:db8::1", "127.0.0.1"),
        ("2001:db8::1]:80", "127.0.0.1"),
        ("[2001:db8::1]80", "127.0.0.1"),
        ("[fe80::1%1]:80", "127.0.0.1"),
        ("[]", "127.0.0.1"),
        ("unknown:80", "127.0.0.1"),
    ] {
        for name in ["X-Forwarded-For", "X-Real-IP"] {
            let told = seen(&client, peer("127.0.0.1"), &[(name, written)]);
            assert_eq!(told, format!("{expected} http"), "{name}: {written}");
        }
    }
    for (chain, expected) in [
        ("1.1.1.1:1, 203.0.113.9:4711, 5.5.5.5:80", "203.0.113.9"),
        ("[2001:db8::1]:4711,[fd00::1]:80 , 5.5.5.5", "2001:db8::1"),
        ("5.5.5.5:80, [fd00::1]:80", "5.5.5.5"),
        ("203.0.113.9:x, 5.5.5.5:80", "127.0.0.1"),
    ] {
        let told = seen(&client, peer("127.0.0.1"), &[("X-Forwarded-For", chain)]);
        assert_eq!(told, format!("{expected} http"), "{chain}");
    }
}

#[test]
fn forwarded_fields_of_untrusted_peers_are_ignored() {
    let headers = [("X-Real-IP", "4.4.4.4"), ("X-Scheme", "https")];
    assert_eq!(seen(&client(None), peer("127.0.0.1"), &headers), "127.0.0.1 http");
    let trusting = client(Some("127.0.0.1"));
    assert_eq!(seen(&trusting, peer("127.0.0.2"), &headers), "127.0.0.2 http");
    assert_eq!(seen(&trusting, Peer::default(), &headers), "none http");
    assert_eq!(seen(&client(Some("unix")), Peer::default(), &headers), "4.4.4.4 https");
}

#[test]
fn networks_are_compared_by_their_prefix() {
    let headers = [("X-Real-IP", "4.4.4.4")];
    for (proxies, address, trusted) in [
        ("10.0.0.0/8", "10.255.0.1", true),
        ("10.0.0.0/8", "11.0.0.1", false),
        ("10.0.0.0/31", "10.0.0.1", true),
        ("10.0.0.0/31", "10.0.0.2", false),
        ("0.0.0.0/0", "8.8.8.8", true),
        ("0.0.0.0/0", "::1", false),
        ("fd00::/8", "fdff::1", true),
        ("fd00::/8", "fe80::1", false),
        ("::1", "::1", true),
        ("127.0.0.1", "::ffff:127.0.0.1", true),
    ] {
        let told = seen(&client(Some(proxies)), peer(address), &headers);
        assert_eq!(told == "4.4.4.4 http", trusted, "{proxies} {address}: {told}");
    }
}

#[test]
fn an_encrypted_connection_is_https_unless_a_proxy_says_otherwise() {
    let secure = Peer {
        is_secure: true,
        ..peer("127.0.0.1")
    };
    assert_eq!(seen(&client(None), secure, &[("X-Scheme", "http")]), "127.0.0.1 https");
    assert_eq!(
        seen(&client(Some("127.0.0.1")), secure, &[("X-Scheme", "http")]),
        "127.0.0.1 http"
    );
}

#[test]
fn a_malformed_proxy_list_names_the_bad_entry() {
    for entry in [
        "localhost",
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "10.0.0",
        "::/129",
        "1.2.3.4:80",
    ] {
        let error = format!("127.0.0.1, {entry}").parse::<TrustedProxies>().unwrap_err();
        assert!(
            error
                .to_string()
                .contains(&format!("could not read the trusted proxy `{entry}`: ")),
            "{error}"
        );
    }
    assert_eq!("".parse::<TrustedProxies>(), Ok(TrustedProxies::default()));
}
