//! Which certificate a client gets, which clients are served, and what a handler knows of it.

use std::sync::Arc;

use rustls::HandshakeKind;
use squall::Tls;
use squall::prelude::*;

use crate::authority::Authority;
use crate::client::Options;
use crate::support::running::Running;

/// Tells the client what the server knows of its connection.
async fn tell(cx: &mut Context) -> Result<String> {
    let certificates = cx.peer_certificates().len();
    let Some(tls) = cx.tls() else {
        return Ok(format!("{}, no TLS", cx.protocol()));
    };
    Ok(format!(
        "{}, {}, {}, {}, {}, {certificates} certificates",
        cx.protocol(),
        tls.version(),
        tls.cipher_suite(),
        tls.alpn().unwrap_or("no ALPN"),
        tls.server_name().unwrap_or("no name"),
    ))
}

fn application() -> Application {
    Application::new().get("/", tell)
}

fn serve(tls: Tls) -> Running {
    Running::serve(Server::new(application).shards(2).tls(tls))
}

#[test]
fn a_handler_knows_the_connection_of_its_request() {
    let authority = Authority::new();
    let running = serve(authority.issue(&["localhost"]).tls());
    for (version, known) in [
        (&rustls::version::TLS12, "https, TLSv1.2, TLS_ECDHE_ECDSA_WITH_"),
        (&rustls::version::TLS13, "https, TLSv1.3, TLS13_AES_"),
    ] {
        let options = Options::with_versions(&authority, &[version]).protocols(&[b"http/1.1"]);
        let mut client = options.connect(running.address).unwrap();
        for _ in 0..2 {
            let response = client.get("localhost", "/").unwrap();
            let (_, content) = response.split_once("\r\n\r\n").unwrap();
            assert!(content.starts_with(known), "{content}");
            assert!(content.ends_with("http/1.1, localhost, 0 certificates"), "{content}");
        }
    }
}

#[test]
fn a_client_gets_the_certificate_of_the_name_it_asks_for() {
    let authority = Authority::new();
    let default = authority.issue(&["localhost"]);
    let exact = authority.issue(&["a.example"]);
    let wildcard = authority.issue(&["*.wild.example"]);
    let tls = default
        .tls()
        .certificate(&wildcard.certificate, &wildcard.key)
        .certificate(&exact.certificate, &exact.key);
    let running = serve(tls);
    for (name, expected) in [
        ("localhost", &default),
        ("a.example", &exact),
        ("b.wild.example", &wildcard),
    ] {
        let client = Options::trusting(&authority)
            .name(name)
            .connect(running.address)
            .unwrap();
        assert_eq!(client.certificate(), expected.chain[0].to_vec(), "{name}");
    }
    // The certificate of the default is for another name, so this client rejects it.
    let unknown = Options::trusting(&authority)
        .name("c.b.wild.example")
        .connect(running.address);
    let error = unknown.err().unwrap().to_string();
    assert!(
        error.contains("NotValidForName") || error.contains("not valid for name"),
        "{error}"
    );
}

#[test]
fn strict_names_reject_a_client_that_asks_for_another() {
    let authority = Authority::new();
    let running = serve(authority.issue(&["localhost"]).tls().strict_sni(true));
    Options::trusting(&authority).connect(running.address).unwrap();
    let unknown = Options::trusting(&authority)
        .name("other.example")
        .connect(running.address);
    let error = unknown.err().unwrap().to_string();
    assert!(
        error.contains("UnrecognizedName") || error.contains("UnrecognisedName"),
        "{error}"
    );
}

#[test]
fn a_client_without_a_common_protocol_gets_an_alert() {
    let authority = Authority::new();
    let running = serve(authority.issue(&["localhost"]).tls());
    let refused = Options::trusting(&authority)
        .protocols(&[b"h3"])
        .connect(running.address);
    let error = refused.err().unwrap().to_string();
    assert!(error.contains("NoApplicationProtocol"), "{error}");
    let mut client = Options::trusting(&authority).connect(running.address).unwrap();
    assert!(client.get("localhost", "/").unwrap().contains("no ALPN"));
}

#[test]
fn a_server_requires_certificates_of_clients_or_takes_those_they_have() {
    let authority = Authority::new();
    let own = authority.issue(&["localhost"]);
    let of_client = authority.issue(&["client.example"]);
    let stranger = Authority::new();
    let of_stranger = stranger.issue(&["client.example"]);
    let expired = authority.issue_expired("late.example");
    let requiring = serve(own.tls().client_ca(authority.file()));
    let optional = serve(own.tls().client_ca(authority.file()).optional_client_certificates(true));
    for running in [&requiring, &optional] {
        let mut client = Options::presenting(&authority, &of_client)
            .connect(running.address)
            .unwrap();
        assert!(client.get("localhost", "/").unwrap().ends_with("1 certificates"));
        for rejected in [&of_stranger, &expired] {
            // In TLS 1.3 the client learns of the rejection after its own handshake is complete.
            let connected = Options::presenting(&authority, rejected).connect(running.address);
            connected
                .and_then(|mut client| client.get("localhost", "/"))
                .unwrap_err();
        }
    }
    let anonymous = Options::trusting(&authority);
    let refused = anonymous
        .connect(requiring.address)
        .and_then(|mut client| client.get("localhost", "/"));
    assert!(refused.unwrap_err().to_string().contains("CertificateRequired"));
    let mut client = anonymous.connect(optional.address).unwrap();
    assert!(client.get("localhost", "/").unwrap().ends_with("0 certificates"));
}

#[test]
fn a_certificate_of_a_client_that_was_revoked_is_rejected_after_a_reload_too() {
    let authority = Authority::new();
    let own = authority.issue(&["localhost"]);
    let (one, two) = (
        authority.issue_numbered("one.example", 7),
        authority.issue_numbered("two.example", 8),
    );
    let lists = authority.revoke(&[7]);
    let tls = own.tls().client_ca(authority.file()).revocations(&lists);
    let bound = crate::support::running::bind(Server::new(application).shards(2).tls(tls)).unwrap();
    let reloader = bound.reloader();
    let running = Running::run(bound);
    let get = |own: &crate::authority::Issued| {
        // In TLS 1.3 the client learns of the rejection after its own handshake is complete.
        let connected = Options::presenting(&authority, own).connect(running.address);
        let response = connected.and_then(|mut client| client.get("localhost", "/"));
        response.map_err(|error| error.to_string())
    };
    let refused = get(&one).unwrap_err();
    assert!(refused.contains("CertificateRevoked"), "{refused}");
    assert!(get(&two).unwrap().ends_with("1 certificates"));
    authority.revoke(&[7, 8]);
    reloader.reload().unwrap();
    for own in [&one, &two] {
        let refused = get(own).unwrap_err();
        assert!(refused.contains("CertificateRevoked"), "{refused}");
    }
    // A list that cannot be read changes nothing.
    std::fs::write(&lists, "no list").unwrap();
    reloader.reload().unwrap_err();
    get(&two).unwrap_err();
}

/// RFC 9110 §15.5.20: the host's rule for clients holds for a connection of its own only.
#[test]
fn a_request_for_a_host_with_rules_of_its_own_needs_its_own_connection() {
    let authority = Authority::new();
    let own = authority.issue(&["localhost"]);
    let admin = authority.issue(&["admin.example"]);
    let of_client = authority.issue(&["client.example"]);
    let tls = own.tls().host("admin.example", admin.tls().client_ca(authority.file()));
    let running = serve(tls);
    let anonymous = Options::trusting(&authority);
    let mut client = anonymous.connect(running.address).unwrap();
    assert!(client.get("localhost", "/").unwrap().starts_with("HTTP/1.1 200"));
    let misdirected = client.get("Admin.Example:443", "/").unwrap();
    assert!(misdirected.starts_with("HTTP/1.1 421"), "{misdirected}");
    let refused = anonymous.name("admin.example").connect(running.address);
    refused
        .and_then(|mut client| client.get("admin.example", "/"))
        .unwrap_err();
    let known = Options::presenting(&authority, &of_client).name("admin.example");
    let mut client = known.connect(running.address).unwrap();
    assert!(client.get("admin.example", "/").unwrap().starts_with("HTTP/1.1 200"));
    assert!(client.get("localhost", "/").unwrap().starts_with("HTTP/1.1 421"));
}

/// A ticket of one policy resumes no session of another, and none of a policy that verifies clients.
#[test]
fn sessions_are_resumed_on_every_shard_and_across_no_policy() {
    let authority = Authority::new();
    let own = authority.issue(&["localhost"]);
    let admin = authority.issue(&["admin.example"]);
    let of_client = authority.issue(&["client.example"]);
    let running = serve(own.tls().host("admin.example", admin.tls().client_ca(authority.file())));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let options = Options::with_versions(&authority, &[version]);
        let config = Arc::new(options.config.clone());
        let kinds: Vec<_> = (0..16)
            .map(|_| {
                let mut client = options.connect_as(running.address, Arc::clone(&config)).unwrap();
                // A response comes behind the ticket.
                client.get("localhost", "/").unwrap();
                client.session.handshake_kind().unwrap()
            })
            .collect();
        // Sixteen connections meet both shards but once in 32,768 runs, and then still pass.
        assert_ne!(kinds[0], HandshakeKind::Resumed);
        assert!(
            kinds[1..].iter().all(|kind| *kind == HandshakeKind::Resumed),
            "{kinds:?}"
        );
    }
    let options = Options::presenting(&authority, &of_client).name("admin.example");
    let config = Arc::new(options.config.clone());
    for _ in 0..3 {
        let mut client = options.connect_as(running.address, Arc::clone(&config)).unwrap();
        client.get("admin.example", "/").unwrap();
        assert_ne!(client.session.handshake_kind(), Some(HandshakeKind::Resumed));
    }
}

#[test]
fn a_certificate_for_development_is_for_localhost() {
    let running = serve(Tls::self_signed());
    let authority = Authority::new();
    let refused = Options::trusting(&authority).connect(running.address);
    let error = refused.err().unwrap().to_string();
    assert!(error.contains("UnknownIssuer"), "{error}");
}

#[test]
fn an_address_without_a_scheme_speaks_tls_and_http_asks_for_none() {
    let authority = Authority::new();
    let own = authority.issue(&["localhost"]);
    let server = Server::new(application)
        .shards(1)
        .tls(own.tls())
        .listen("http://127.0.0.1:0");
    let bound = crate::support::running::bind(server).unwrap();
    let [plain, secure] = bound.addresses().collect::<Vec<_>>()[..] else {
        panic!("two addresses");
    };
    let _running = Running::run(bound);
    let mut client = crate::support::client::Connection::open(plain);
    let response = client.exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET").unwrap();
    assert_eq!(response.body, b"http, no TLS");
    let mut client = Options::trusting(&authority).connect(secure).unwrap();
    assert!(client.get("localhost", "/").unwrap().contains("https, TLSv1.3"));
}

#[test]
fn certificates_that_cannot_be_used_are_named() {
    let authority = Authority::new();
    let (one, other) = (authority.issue(&["a.example"]), authority.issue(&["b.example"]));
    let missing = authority.folder().join("missing.pem");
    for (tls, said) in [
        (Tls::from_pem(&one.certificate, &other.key), "belongs to another"),
        (Tls::from_pem(&missing, &one.key), "could not read the certificate"),
        (
            Tls::from_pem(&one.certificate, &missing),
            "could not read the private key",
        ),
        (Tls::from_pem(&one.key, &one.key), "could not read the certificate"),
        (one.tls().client_ca(&missing), "could not read the certificate"),
    ] {
        let error = Server::new(application)
            .tls(tls)
            .listen("127.0.0.1:0")
            .bind()
            .unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
    let error = Server::new(application)
        .listen("https://127.0.0.1:0")
        .bind()
        .unwrap_err();
    assert!(error.to_string().contains("has no certificate"), "{error}");
}
