//! The opening handshake, from both sides (RFC 6455 §4, RFC 7692 §5 and §7.1).

use super::super::extensions;
use super::super::{
    ClientHandshake, ClientHandshakeError, Deflate, DeflateConfig, Deflaters, Encoding, HandshakeError,
    ServerHandshake, SubprotocolNotOffered, WindowBits, is_same_origin,
};
use super::deflaters;
use crate::message::{
    HeaderName, HeaderValue, Method, RequestHead, ResponseHead, StatusCode, TargetForm, Version, header,
};

const HANDSHAKE: [(&str, &str); 4] = [
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
];

/// A request's head with these fields and `Host: example.com`.
pub(super) fn request(method: &str, version: &str, fields: &[(&str, &str)]) -> RequestHead {
    let mut text = format!("{method} / {version}\r\nHost: ");
    let host = text.len()..text.len() + "example.com".len();
    text.push_str("example.com\r\n");
    let mut spans = Vec::new();
    for (name, value) in fields {
        let start = text.len();
        text.push_str(&format!("{name}: {value}\r\n"));
        spans.push((start..start + name.len(), start + name.len() + 2..text.len() - 2));
    }
    let mut head = RequestHead::new();
    let mut builder = head.rewrite();
    builder
        .bytes(text.as_bytes())
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .version(if version == "HTTP/1.0" {
            Version::Http10
        } else {
            Version::Http11
        })
        .target(TargetForm::Origin, "/")
        .path(0..1, None)
        .authority(host);
    for (name, value) in spans {
        builder.field(name, value);
    }
    head
}

/// The usual request with some fields changed or added, or removed by `None`.
fn with(changes: &[(&str, Option<&str>)]) -> RequestHead {
    let mut fields: Vec<_> = HANDSHAKE
        .into_iter()
        .filter(|(name, _)| changes.iter().all(|(other, _)| other != name))
        .collect();
    fields.extend(changes.iter().filter_map(|(name, value)| Some((*name, (*value)?))));
    request("GET", "HTTP/1.1", &fields)
}

/// A server's answer to an offer under this configuration, and the result of the negotiation.
pub(super) fn offer_to(config: &DeflateConfig, offer: &str, deflaters: &Deflaters) -> Option<(String, Deflate)> {
    let head = with(&[("Sec-WebSocket-Extensions", Some(offer))]);
    let mut response = ResponseHead::default();
    let handshake = ServerHandshake::new(&head).unwrap();
    let deflate = handshake.respond(None, Some(config), deflaters, &mut response).unwrap();
    let answer = response.headers.get(&header::SEC_WEBSOCKET_EXTENSIONS);
    assert_eq!(answer.is_some(), deflate.is_some());
    Some((answer?.to_str().unwrap().to_owned(), deflate?))
}

pub(super) fn offer(offer: &str) -> Option<(String, Deflate)> {
    offer_to(&DeflateConfig::default(), offer, &deflaters())
}

/// RFC 6455 §1.3.
#[test]
fn the_example_of_the_rfc() {
    let head = with(&[
        ("Sec-WebSocket-Protocol", Some("chat, superchat")),
        ("Origin", Some("http://example.com")),
    ]);
    let handshake = ServerHandshake::new(&head).unwrap();
    assert_eq!(handshake.subprotocols().collect::<Vec<_>>(), ["chat", "superchat"]);
    let mut response = ResponseHead::default();
    response
        .headers
        .set(HeaderName::from_static("x-kept"), HeaderValue::from_static("yes"));
    let deflate = handshake
        .respond(Some("chat"), None, &deflaters(), &mut response)
        .unwrap();
    assert!(deflate.is_none());
    assert_eq!(response.status, StatusCode::SWITCHING_PROTOCOLS);
    let fields: Vec<_> = response
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    let expected: [(&str, &[u8]); 5] = [
        ("x-kept", b"yes"),
        ("sec-websocket-protocol", b"chat"),
        ("sec-websocket-accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ("upgrade", b"websocket"),
        ("connection", b"Upgrade"),
    ];
    assert_eq!(fields, expected);
}

/// RFC 6455 §4.2.1, each requirement by itself (`docs/threats.md#malformed-handshake`).
#[test]
fn every_requirement_is_checked() {
    use HandshakeError as E;
    let spaces = format!("b{}x", " ".repeat(32_000));
    let cases = [
        ("Upgrade", None, Err(E::Upgrade)),
        ("Upgrade", Some("h2c"), Err(E::Upgrade)),
        ("Upgrade", Some("h2c, WebSocket"), Ok(())),
        ("Connection", None, Err(E::Connection)),
        ("Connection", Some("keep-alive"), Err(E::Connection)),
        ("Connection", Some("keep-alive, upgrade"), Ok(())),
        ("Sec-WebSocket-Version", None, Err(E::Version)),
        ("Sec-WebSocket-Version", Some("8"), Err(E::Version)),
        ("Sec-WebSocket-Version", Some("13, 8"), Err(E::Version)),
        ("Sec-WebSocket-Key", None, Err(E::Key)),
        ("Sec-WebSocket-Key", Some(""), Err(E::Key)),
        ("Sec-WebSocket-Key", Some("MTIzNDU2Nzg5MDEyMzQ1"), Err(E::Key)),
        ("Sec-WebSocket-Key", Some("MTIzNDU2Nzg5MDEyMzQ1Njc="), Err(E::Key)),
        ("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBub25jZQ"), Err(E::Key)),
        ("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBub25jZ*=="), Err(E::Key)),
        ("Sec-WebSocket-Protocol", Some(spaces.as_str()), Err(E::Subprotocols)),
        ("Sec-WebSocket-Protocol", Some("a b"), Err(E::Subprotocols)),
        ("Sec-WebSocket-Protocol", Some(", a,,b ,"), Ok(())),
        (
            "Sec-WebSocket-Extensions",
            Some("permessage-deflate; ="),
            Err(E::Extensions),
        ),
        (
            "Sec-WebSocket-Extensions",
            Some("permessage-deflate;"),
            Err(E::Extensions),
        ),
        ("Sec-WebSocket-Extensions", Some("x; y=\"a b\""), Err(E::Extensions)),
        ("Sec-WebSocket-Extensions", Some("x; y=\"open"), Err(E::Extensions)),
        ("Sec-WebSocket-Extensions", Some("x y"), Err(E::Extensions)),
        ("Sec-WebSocket-Extensions", Some(", x;y=1;z=\"2\\3\" ,, w"), Ok(())),
        ("Content-Length", Some("0"), Ok(())),
        ("Content-Length", Some("5"), Err(E::Content)),
        ("Transfer-Encoding", Some("chunked"), Err(E::Content)),
    ];
    for (name, value, expected) in cases {
        let head = with(&[(name, value)]);
        let result = ServerHandshake::new(&head).map(|_| ());
        assert_eq!(result, expected, "{name}: {value:.60?}");
    }
    let twice = with(&[
        ("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBub25jZQ==")),
        ("sec-websocket-key", Some("x")),
    ]);
    assert_eq!(ServerHandshake::new(&twice).err(), Some(E::Key));
    for (method, version, expected) in [
        ("POST", "HTTP/1.1", E::Method),
        ("HEAD", "HTTP/1.1", E::Method),
        ("GET", "HTTP/1.0", E::HttpVersion),
    ] {
        assert_eq!(
            ServerHandshake::new(&request(method, version, &HANDSHAKE)).err(),
            Some(expected)
        );
    }
}

#[test]
fn a_rejection_names_the_supported_method_and_version() {
    let version = HandshakeError::Version.response();
    assert_eq!(version.status, StatusCode::UPGRADE_REQUIRED);
    assert_eq!(version.headers.get(&header::SEC_WEBSOCKET_VERSION).unwrap(), "13");
    assert_eq!(version.headers.get(&header::UPGRADE).unwrap(), "websocket");
    let method = HandshakeError::Method.response();
    assert_eq!(
        (
            method.status.as_u16(),
            method.headers.get(&header::ALLOW).unwrap().as_bytes()
        ),
        (405, &b"GET"[..])
    );
    assert_eq!(HandshakeError::Key.response().status, StatusCode::BAD_REQUEST);
}

/// Tornado's test_check_origin_* (`docs/threats.md#cross-site-websocket`).
#[test]
fn the_same_origin_has_equal_host_port_and_scheme() {
    let cases = [
        (None, None, true),
        (Some("http://example.com"), None, true),
        (Some("http://EXAMPLE.com"), Some("http"), true),
        (Some("https://example.com"), Some("https"), true),
        (Some("http://example.com:80"), None, true),
        (Some("http://example.com/path"), None, true),
        (Some("https://example.com"), Some("http"), false),
        (Some("http://example.com:443"), None, false),
        (Some("https://example.com:80"), None, false),
        (Some("http://example.com:8080"), None, false),
        (Some("http://sub.example.com"), None, false),
        (Some("http://example.com.evil"), None, false),
        (Some("https://evil"), None, false),
        (Some("null"), None, false),
        (Some(""), None, false),
        (Some("example.com"), None, false),
        (Some("http://"), None, false),
        (Some("http://user@example.com"), None, false),
        (Some("ftp://example.com"), None, false),
        (Some("http://example.com:080"), None, true),
        (Some("http://example.com:"), None, true),
        (Some("http://example.com:x"), None, false),
    ];
    for (origin, scheme, expected) in cases {
        let head = with(&[("Origin", origin)]);
        assert_eq!(is_same_origin(&head, scheme), expected, "{origin:?} {scheme:?}");
    }
    let twice = with(&[
        ("Origin", Some("http://example.com")),
        ("origin", Some("http://example.com")),
    ]);
    assert!(!is_same_origin(&twice, None));
}

/// RFC 9112 §3.2.2: the authority of an absolute-form target replaces `Host`, and its scheme counts unless a trusted
/// proxy reports another.
#[test]
fn the_authority_of_an_absolute_form_target_replaces_host() {
    for (target, host, origin, scheme, expected) in [
        ("http://h:80/", "h", "http://h", None, true),
        ("http://h/", "h:80", "http://h:80", None, true),
        ("http://h/", "evil", "http://h", None, true),
        ("http://h/", "evil", "http://evil", None, false),
        ("http://h/", "h", "https://h", None, false),
        ("https://h/", "h", "https://h:443", None, true),
        ("http://h:443/", "h", "https://h", None, false),
        ("http://h/", "h", "https://h", Some("https"), true),
        ("http://h:80/", "h", "https://h", Some("https"), false),
        ("http://H:8080/", "h:8080", "http://h:8080", None, true),
    ] {
        let mut head = RequestHead::new();
        let bytes = [target, host, origin, "host", "origin"].concat();
        let host_start = target.len();
        let origin_start = host_start + host.len();
        let names = origin_start + origin.len();
        let authority = target.find("//").unwrap() + 2..target.len() - 1;
        head.rewrite()
            .bytes(bytes.as_bytes())
            .target(TargetForm::Absolute, target)
            .authority(authority)
            .field(names..names + 4, host_start..origin_start)
            .field(names + 4..names + 10, origin_start..names);
        assert_eq!(
            is_same_origin(&head, scheme),
            expected,
            "{target} {host} {origin} {scheme:?}"
        );
    }
}

#[test]
fn a_subprotocol_must_have_been_offered() {
    let head = with(&[("Sec-WebSocket-Protocol", Some("badproto, goodproto"))]);
    let handshake = ServerHandshake::new(&head).unwrap();
    let mut response = ResponseHead::default();
    for chosen in ["other", "Goodproto", ""] {
        let result = handshake.respond(Some(chosen), None, &deflaters(), &mut response);
        assert_eq!(result.err(), Some(SubprotocolNotOffered), "{chosen}");
        assert_eq!(response, ResponseHead::default(), "nothing was changed");
    }
    handshake
        .respond(Some("goodproto"), None, &deflaters(), &mut response)
        .unwrap();
}

/// 13.x: accepted and declined offers (`docs/threats.md#compression-offers`).
#[test]
fn valid_offers_are_accepted_and_invalid_ones_declined() {
    const NONE: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    let with_bits = |rest: &str| Some(format!("{NONE}; {rest}"));
    let cases = [
        ("permessage-deflate", Some(NONE.to_owned())),
        ("Permessage-Deflate ; client_max_window_bits", Some(NONE.to_owned())),
        (
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            Some(NONE.to_owned()),
        ),
        (
            "permessage-deflate; server_max_window_bits=9",
            with_bits("server_max_window_bits=9"),
        ),
        (
            "permessage-deflate; server_max_window_bits=\"15\"",
            with_bits("server_max_window_bits=15"),
        ),
        (
            "permessage-deflate; client_max_window_bits=10",
            with_bits("client_max_window_bits=10"),
        ),
        (
            "permessage-deflate; client_max_window_bits=8",
            with_bits("client_max_window_bits=8"),
        ),
        ("x-webkit-deflate-frame, permessage-deflate", Some(NONE.to_owned())),
        (
            "permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=10",
            with_bits("server_max_window_bits=10"),
        ),
        (
            "permessage-deflate; nonsense, permessage-deflate",
            Some(NONE.to_owned()),
        ),
        ("permessage-deflate; server_max_window_bits=8", None),
        ("permessage-deflate; server_max_window_bits=7", None),
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-deflate; server_max_window_bits=1000", None),
        ("permessage-deflate; server_max_window_bits=abc", None),
        ("permessage-deflate; server_max_window_bits=010", None),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; client_max_window_bits=7", None),
        (
            "permessage-deflate; client_max_window_bits=9; client_max_window_bits",
            None,
        ),
        ("permessage-deflate; server_no_context_takeover=1", None),
        (
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            None,
        ),
        ("permessage-bzip2", None),
        ("", None),
    ];
    for (offered, expected) in cases {
        assert_eq!(offer(offered).map(|(answer, _)| answer), expected, "{offered}");
    }
    let many = vec!["permessage-deflate; server_max_window_bits=7"; 1000].join(",");
    assert!(offer(&many).is_none());
    assert!(offer(&format!("{many}, permessage-deflate")).is_some());
}

#[test]
fn a_server_may_accept_less_than_was_offered() {
    let config = DeflateConfig::default()
        .server_context_takeover(true)
        .client_context_takeover(true)
        .server_max_window_bits(WindowBits::new(11).unwrap())
        .client_max_window_bits(WindowBits::new(12).unwrap());
    for (offered, expected) in [
        ("permessage-deflate", "permessage-deflate; server_max_window_bits=11"),
        (
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; server_max_window_bits=11; client_max_window_bits=12",
        ),
        (
            "permessage-deflate; client_max_window_bits=10; server_max_window_bits=10",
            "permessage-deflate; server_max_window_bits=10; client_max_window_bits=10",
        ),
        (
            "permessage-deflate; server_no_context_takeover",
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=11",
        ),
        (
            "permessage-deflate; client_no_context_takeover",
            "permessage-deflate; client_no_context_takeover; server_max_window_bits=11",
        ),
    ] {
        assert_eq!(
            offer_to(&config, offered, &deflaters()).unwrap().0,
            expected,
            "{offered}"
        );
    }
}

#[test]
fn a_server_without_compression_declines_every_offer() {
    let head = with(&[("Sec-WebSocket-Extensions", Some("permessage-deflate"))]);
    let mut response = ResponseHead::default();
    let deflate = ServerHandshake::new(&head)
        .unwrap()
        .respond(None, None, &deflaters(), &mut response)
        .unwrap();
    assert!(deflate.is_none() && !response.headers.contains(&header::SEC_WEBSOCKET_EXTENSIONS));
}

/// The response to the RFC's own request, with some fields changed.
fn answer(changes: &[(HeaderName, Option<&'static str>)]) -> ResponseHead {
    let mut response = ResponseHead::new(StatusCode::SWITCHING_PROTOCOLS);
    for (name, value) in [
        (header::UPGRADE, "WebSocket"),
        (header::CONNECTION, "keep-alive, Upgrade"),
        (header::SEC_WEBSOCKET_ACCEPT, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ] {
        response.headers.set(name, HeaderValue::from_static(value));
    }
    for (name, value) in changes {
        match value {
            Some(value) => response.headers.set(name.clone(), HeaderValue::from_static(value)),
            None => drop(response.headers.remove(name)),
        }
    }
    response
}

fn client() -> ClientHandshake {
    ClientHandshake::new(*b"the sample nonce")
        .subprotocol("chat")
        .deflate(DeflateConfig::default())
}

#[test]
fn a_client_offers_its_configuration() {
    let fields = client().fields().unwrap();
    assert_eq!(
        fields.get(&header::SEC_WEBSOCKET_KEY).unwrap(),
        "dGhlIHNhbXBsZSBub25jZQ=="
    );
    assert_eq!(fields.get(&header::SEC_WEBSOCKET_PROTOCOL).unwrap(), "chat");
    assert_eq!(
        fields.get(&header::SEC_WEBSOCKET_EXTENSIONS).unwrap(),
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits"
    );
    let named = ClientHandshake::new([0; 16]).subprotocol("a b");
    assert_eq!(named.fields().err(), Some(ClientHandshakeError::Subprotocol));
}

#[test]
fn a_client_accepts_an_answer_that_fits_its_offer() {
    let agreed = client().check(&answer(&[]), &deflaters()).unwrap();
    assert!(agreed.subprotocol.is_none() && agreed.deflate.is_none());
    let response = answer(&[
        (header::SEC_WEBSOCKET_PROTOCOL, Some("chat")),
        (
            header::SEC_WEBSOCKET_EXTENSIONS,
            Some("permessage-deflate; server_no_context_takeover"),
        ),
    ]);
    let agreed = client().check(&response, &deflaters()).unwrap();
    assert_eq!(agreed.subprotocol.as_deref(), Some("chat"));
    assert!(agreed.deflate.is_some());
}

#[test]
fn a_client_rejects_an_invalid_response() {
    use ClientHandshakeError as E;
    let cases = [
        (header::UPGRADE, None, E::Upgrade),
        (header::UPGRADE, Some("h2c"), E::Upgrade),
        (header::CONNECTION, None, E::Connection),
        (header::CONNECTION, Some("keep-alive"), E::Connection),
        (header::SEC_WEBSOCKET_ACCEPT, None, E::Accept),
        (
            header::SEC_WEBSOCKET_ACCEPT,
            Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo"),
            E::Accept,
        ),
        (header::SEC_WEBSOCKET_PROTOCOL, Some("other"), E::Subprotocol),
        (header::SEC_WEBSOCKET_PROTOCOL, Some("chat, chat"), E::Subprotocol),
    ];
    for (name, value, error) in cases {
        let response = answer(&[(name.clone(), value)]);
        assert_eq!(
            client().check(&response, &deflaters()).err(),
            Some(error),
            "{name}: {value:?}"
        );
    }
    let mut refused = answer(&[]);
    refused.status = StatusCode::FORBIDDEN;
    assert_eq!(
        client().check(&refused, &deflaters()).err(),
        Some(E::Status(StatusCode::FORBIDDEN))
    );

    let bare = ClientHandshake::new(*b"the sample nonce");
    let unasked = answer(&[(header::SEC_WEBSOCKET_PROTOCOL, Some("chat"))]);
    assert_eq!(bare.check(&unasked, &deflaters()).err(), Some(E::Subprotocol));
    let unasked = answer(&[(header::SEC_WEBSOCKET_EXTENSIONS, Some("permessage-deflate"))]);
    assert_eq!(bare.check(&unasked, &deflaters()).err(), Some(E::Extensions));
}

/// RFC 7692 §5.1, §7.1: the answer must fit the offer.
#[test]
fn a_client_rejects_extensions_it_did_not_offer() {
    for value in [
        "permessage-bzip2",
        "permessage-deflate",
        "permessage-deflate server_no_context_takeover",
        "permessage-deflate; server_no_context_takeover; x",
        "permessage-deflate; server_no_context_takeover=true",
        "permessage-deflate; server_no_context_takeover; client_max_window_bits",
        "permessage-deflate; server_no_context_takeover; client_max_window_bits=16",
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=7",
        "permessage-deflate; server_no_context_takeover, permessage-deflate; server_no_context_takeover",
    ] {
        let response = answer(&[(header::SEC_WEBSOCKET_EXTENSIONS, Some(value))]);
        let error = client().check(&response, &deflaters()).err();
        assert_eq!(error, Some(ClientHandshakeError::Extensions), "{value}");
    }
}

/// A window of 8 bits is legal and unsupported, so every message is sent plain.
#[test]
fn a_client_limited_to_8_window_bits_sends_plain_messages() {
    let value = "permessage-deflate; server_no_context_takeover; client_max_window_bits=8";
    let response = answer(&[(header::SEC_WEBSOCKET_EXTENSIONS, Some(value))]);
    let deflate = client().check(&response, &deflaters()).unwrap().deflate.unwrap();
    assert_eq!(deflate.encoding, Encoding::Plain);
}

#[test]
fn lists_of_extensions_are_read() {
    let mut list = Vec::new();
    extensions::parse(b" a ; b = 1;c=\"d\\e\" , ,f", &mut list).unwrap();
    let read: Vec<_> = list
        .iter()
        .map(|extension| {
            let parameters = extension
                .parameters
                .iter()
                .map(|parameter| (parameter.name, parameter.value.as_deref()));
            (extension.name, parameters.collect::<Vec<_>>())
        })
        .collect();
    assert_eq!(read, [("a", vec![("b", Some("1")), ("c", Some("de"))]), ("f", vec![])]);
}
