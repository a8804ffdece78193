//! The contract of `/locale`: a greeting in the language of the client, in exact bytes (RFC 9110 §12.5.4).

use crate::support::server::Server;
use crate::support::{ensure, for_each_case};

/// Each query and field, and the content and the language of the answer.
const CASES: [(&str, &str, &str, &str); 22] = [
    ("", "", "Hello", "en"),
    ("", "de", "Hallo", "de"),
    ("", "de-AT", "Hallo", "de"),
    ("", "DE-de", "Hallo", "de"),
    ("", "es-LA", "Hola", "es-LA"),
    ("", "es-la, de;q=0.9", "Hola", "es-LA"),
    ("", "es", "Hello", "en"),
    ("", "fr, de;q=0.3, en;q=0.2", "Hallo", "de"),
    ("", "en;q=0.3, de;q=0.2", "Hello", "en"),
    ("", "de;q=0, *", "Hello", "en"),
    ("", "fr", "Hello", "en"),
    ("", "*", "Hello", "en"),
    ("", ";;q=,,de;q=x", "Hello", "en"),
    ("?n=0", "", "Hello, 0 messages", "en"),
    ("?n=1", "", "Hello, 1 message", "en"),
    ("?n=2", "", "Hello, 2 messages", "en"),
    ("?n=1", "de", "Hallo, 1 Nachricht", "de"),
    ("?n=2", "de", "Hallo, 2 Nachrichten", "de"),
    ("?n=1", "es-LA", "Hola, 1 mensaje", "es-LA"),
    ("?n=0", "es-LA", "Hola, 0 mensajes", "es-LA"),
    ("?n=1000", "de", "Hallo, 1000 Nachrichten", "de"),
    (
        "?n=18446744073709551615",
        "de",
        "Hallo, 18446744073709551615 Nachrichten",
        "de",
    ),
];

fn request(method: &str, query: &str, languages: &str) -> Vec<u8> {
    format!("{method} /locale{query} HTTP/1.1\r\nHost: a\r\nAccept-Language: {languages}\r\n\r\n").into_bytes()
}

#[test]
fn a_greeting_is_in_the_best_language_of_the_client() {
    let server = Server::shared();
    for_each_case(
        CASES,
        |(query, languages, ..)| format!("{query} {languages}"),
        |(query, languages, content, language)| {
            let mut connection = server.connect();
            let response = connection.exchange(&request("GET", query, languages), "GET")?;
            response.expect(200, content.as_bytes())?;
            for (name, value) in [
                ("content-type", "text/plain; charset=utf-8"),
                ("content-language", language),
                ("vary", "Accept-Language"),
            ] {
                ensure(response.field(name) == Some(value.as_bytes()), || {
                    format!("{name} is not {value}: {response:?}")
                })?;
            }
            let head = connection.exchange(&request("HEAD", query, languages), "HEAD")?;
            head.expect_status(200)?;
            ensure(head.field("content-language") == Some(language.as_bytes()), || {
                format!("{head:?}")
            })
        },
    );
}

#[test]
fn a_count_other_than_a_whole_number_is_400() {
    let server = Server::shared();
    for count in ["", "-1", "1.5", "two", "18446744073709551616", "%FF"] {
        let mut connection = server.connect();
        let response = connection
            .exchange(&request("GET", &format!("?n={count}"), "de"), "GET")
            .unwrap();
        response.expect_status(400).unwrap();
        // Caches must keep the languages of error pages apart too.
        assert!(
            response.list("vary").contains(&"accept-language".to_owned()),
            "{response:?}"
        );
    }
}
