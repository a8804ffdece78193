//! What a plain listener is left with: redirects to HTTPS, and the challenges of an authority.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use squall::middleware::hsts;
use squall::prelude::*;

use crate::authority::Authority;
use crate::client::Options;
use crate::support::client::Connection;
use crate::support::response::Response;
use crate::support::running::{Running, bind};

fn application() -> Application {
    async fn refuse(_: &mut Context, _: Next<'_>) -> Result {
        Err(HttpError::new(401).into())
    }
    Application::new()
        .middleware(hsts(Duration::from_secs(3600)))
        .nest(
            "/private",
            Routes::new()
                .middleware(refuse)
                .get("/", async |_: &mut Context| "never"),
        )
        .get("/", async |_: &mut Context| "hello")
}

/// Starts a server with a plain address and one of TLS, in this order.
fn start(authority: &Authority, server: Server) -> (Running, [SocketAddr; 2]) {
    let own = authority.issue(&["localhost"]);
    let bound = bind(server.shards(1).tls(own.tls()).listen("http://127.0.0.1:0")).unwrap();
    let addresses = bound.addresses().collect::<Vec<_>>().try_into().unwrap();
    (Running::run(bound), addresses)
}

fn ask(address: SocketAddr, request: &str) -> Response {
    Connection::open(address).exchange(request.as_bytes(), "GET").unwrap()
}

#[test]
fn plain_requests_are_redirected_to_https_and_challenges_are_answered() {
    let authority = Authority::new();
    let challenges = authority.folder().join("challenges");
    fs::create_dir(&challenges).unwrap();
    fs::write(challenges.join("token"), "token.thumbprint").unwrap();
    let server = Server::new(application)
        .redirect_to_https(true)
        .acme_challenge_dir(challenges.clone());
    let (_running, [plain, secure]) = start(&authority, server);
    for (request, location) in [
        ("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", "https://a.example:PORT/"),
        (
            "GET /b?c=d HTTP/1.1\r\nHost: a.example:80\r\n\r\n",
            "https://a.example:PORT/b?c=d",
        ),
        (
            "POST /private/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
            "https://a:PORT/private/",
        ),
    ] {
        let response = ask(plain, request);
        assert_eq!(response.status, 308);
        let location = location.replace("PORT", &secure.port().to_string());
        assert_eq!(response.field("location"), Some(location.as_bytes()), "{request}");
        assert_eq!(response.field("strict-transport-security"), None);
    }
    let without_host = ask(plain, "GET / HTTP/1.0\r\n\r\n");
    assert_eq!(without_host.status, 400);
    let challenge = ask(
        plain,
        "GET /.well-known/acme-challenge/token HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert_eq!((challenge.status, &challenge.body[..]), (200, &b"token.thumbprint"[..]));
    // A tool adds files while the server runs.
    fs::write(challenges.join("later"), "later.thumbprint").unwrap();
    let later = ask(
        plain,
        "GET /.well-known/acme-challenge/later HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert_eq!(later.body, b"later.thumbprint");
    let outside = ask(
        plain,
        "GET /.well-known/acme-challenge/../../authority.pem HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert_ne!(outside.status, 200);
    let mut client = Options::trusting(&authority).connect(secure).unwrap();
    let response = client.get("a", "/").unwrap();
    assert!(
        response
            .to_ascii_lowercase()
            .contains("strict-transport-security: max-age=3600\r\n"),
        "{response}"
    );
    assert!(response.ends_with("hello"));
}

#[test]
fn a_redirect_needs_an_address_that_speaks_tls() {
    let error = Server::new(application)
        .redirect_to_https(true)
        .listen("127.0.0.1:0")
        .bind()
        .unwrap_err();
    assert!(
        error.to_string().starts_with("could not redirect to HTTPS: "),
        "{error}"
    );
}

/// The client behind a proxy that passes TLS on.
#[test]
fn the_proxy_protocol_precedes_the_handshake() {
    use std::io::Write as _;
    let authority = Authority::new();
    let address = async |cx: &mut Context| cx.peer_address().map(|peer| peer.to_string()).unwrap_or_default();
    let server = Server::new(move || Application::new().get("/", address))
        .proxy_protocol(true)
        .trusted_proxies("127.0.0.1".parse().unwrap());
    let (_running, [_, secure]) = start(&authority, server);
    let options = Options::trusting(&authority);
    let mut client = options
        .connect_after(secure, |stream| {
            stream.write_all(b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n")
        })
        .unwrap();
    assert!(client.get("localhost", "/").unwrap().ends_with("192.0.2.1:56324"));
    options.connect(secure).map(drop).unwrap_err();
}
