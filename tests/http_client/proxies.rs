//! Proxies: requests in absolute-form, and tunnels.

use std::io::Write;

use squall::client::{Client, FetchFailure, Proxy};

use crate::harness::{Origin, error, ok, on_shard, read_request, text};

#[test]
fn a_request_goes_to_its_proxy_in_absolute_form() {
    let proxy = Origin::answering(|seen| {
        let authorization = seen.field("proxy-authorization").unwrap_or("-");
        (
            ok(format!("{} {authorization} {}", seen.line(), seen.field("host").unwrap()).as_bytes()),
            true,
        )
    });
    let url = format!("http://u:p@{}", proxy.address);
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = Client::builder()
                .proxy(Proxy::http(&url).except("direct"))
                .build()
                .unwrap();
            // Both hosts share the connection to the proxy.
            for host in ["a.example", "b.example:8080"] {
                let seen = text(client.get(&format!("http://{host}/x?y")).send()).await;
                assert_eq!(seen, format!("GET http://{host}/x?y HTTP/1.1 Basic dTpw {host}"));
            }
        }
    });
    assert_eq!(proxy.connections(), 1);
}

/// A proxy that opens tunnels to itself: behind the head of CONNECT it is the server.
fn tunnelling() -> Origin {
    Origin::start(|mut stream, number| {
        let opening = read_request(&mut stream).unwrap();
        if opening.field("proxy-authorization") != Some("Basic dTpw") {
            stream
                .write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                .unwrap();
            return;
        }
        stream
            .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
            .unwrap();
        while let Some(seen) = read_request(&mut stream) {
            let shown = format!("{number}: {}, {}", opening.line(), seen.line());
            stream.write_all(&ok(shown.as_bytes())).unwrap();
        }
    })
}

#[test]
fn a_tunnel_belongs_to_one_host() {
    let proxy = tunnelling();
    let address = proxy.address;
    on_shard(move || async move {
        let through = Proxy::all(format!("http://u:p@{address}")).tunnel();
        let client = Client::builder().proxy(through).build().unwrap();
        for (host, expected) in [
            ("a.example", "0: CONNECT a.example:80 HTTP/1.1, GET / HTTP/1.1"),
            ("a.example", "0: CONNECT a.example:80 HTTP/1.1, GET / HTTP/1.1"),
            ("[::1]:81", "1: CONNECT [::1]:81 HTTP/1.1, GET / HTTP/1.1"),
        ] {
            assert_eq!(text(client.get(&format!("http://{host}/")).send()).await, expected);
        }
        let refused = Client::builder()
            .proxy(Proxy::all(format!("http://{address}")).tunnel())
            .build()
            .unwrap();
        let failed = error(refused.get("http://a.example/").send()).await;
        assert!(
            matches!(failed.failure(), FetchFailure::Proxy(status) if status.as_u16() == 407),
            "{failed}"
        );
        assert!(failed.is_connect());
    });
}

#[test]
fn a_proxy_with_an_invalid_url_is_an_error_of_the_builder() {
    let failed = Client::builder().proxy(Proxy::all("socks5://a")).build().unwrap_err();
    assert!(
        failed.to_string().contains("the proxy must be reached by http"),
        "{failed}"
    );
    let failed = Client::builder().user_agent("a\nb").build().unwrap_err();
    assert!(failed.to_string().contains("user-agent"), "{failed}");
}
