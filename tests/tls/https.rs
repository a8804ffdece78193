//! The HTTP client over TLS: what it trusts, how it ends, and what it does of its own.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use squall::client::{Client, ClientTls, FetchError, FetchFailure, Proxy, Step};
use squall::prelude::*;
use squall::{Bytes, Tls};

use crate::authority::Authority;
use crate::origin::{Origin, config, for_localhost, ok};
use crate::support::running::Running;
use crate::support::server::path_of;
use crate::support::shard::on_shard;

/// A short time for a timeout under test.
const SOON: Duration = Duration::from_millis(50);

/// Trusts an authority alone.
pub(crate) fn trusting(authority: &Authority) -> ClientTls {
    let pem = fs::read(authority.file()).unwrap();
    ClientTls::new().without_system_roots().root(pem).unwrap()
}

fn client(tls: ClientTls) -> Client {
    Client::builder().tls(tls).build().unwrap()
}

/// Runs a client on a shard, and returns what it said.
fn run<F>(tls: ClientTls, main: impl Fn(Client) -> F + Send + Sync + 'static) -> String
where
    F: Future<Output = String> + 'static,
{
    let (sender, said) = crossbeam::channel::bounded(1);
    let main = Arc::new(main);
    on_shard(move || {
        let (tls, sender, main) = (tls.clone(), sender.clone(), Arc::clone(&main));
        async move { sender.send(main(client(tls)).await).unwrap() }
    });
    said.recv().unwrap()
}

/// Fetches a URL, and returns its content or the error.
fn get(tls: ClientTls, url: &str) -> Result<String, String> {
    let url = url.to_owned();
    let said = run(tls, move |client| {
        let url = url.clone();
        async move {
            match text(&client, &url).await {
                Ok(content) => format!("ok {content}"),
                Err(error) => {
                    assert_eq!(Some(error.url()), url.split('?').next());
                    error.to_string()
                }
            }
        }
    });
    match said.strip_prefix("ok ") {
        Some(content) => Ok(content.to_owned()),
        None => Err(said),
    }
}

async fn text(client: &Client, url: &str) -> Result<String, FetchError> {
    client.get(url).send().await?.text().await
}

async fn tell(cx: &mut Context) -> Result<String> {
    let tls = cx.tls().unwrap();
    Ok(format!(
        "{} {} {} {}",
        cx.protocol(),
        tls.alpn().unwrap_or("-"),
        tls.server_name().unwrap_or("-"),
        cx.peer_certificates().len()
    ))
}

async fn echo(cx: &mut Context) -> Result {
    let content = cx.body().await?;
    cx.write(&content);
    Ok(())
}

fn serve(tls: Tls) -> Running {
    let application = || Application::new().get("/", tell).post("/echo", echo);
    Running::serve(Server::new(application).shards(1).no_http2(true).tls(tls))
}

fn url(running: &Running, path: &str) -> String {
    format!("https://localhost:{}{path}", running.address.port())
}

#[test]
fn a_client_fetches_from_the_server_and_sends_content_both_ways() {
    let (authority, own) = for_localhost();
    let running = serve(own.tls());
    let (page, there) = (url(&running, "/"), url(&running, "/echo"));
    let said = run(trusting(&authority), move |client| {
        let (page, there) = (page.clone(), there.clone());
        async move {
            for _ in 0..3 {
                assert_eq!(text(&client, &page).await.unwrap(), "https http/1.1 localhost 0");
            }
            let content = Bytes::from(vec![b'x'; 1_000_000]);
            let response = client.post(&there).body(content.clone()).send().await.unwrap();
            assert!(response.bytes().await.unwrap() == content);
            // One connection for all of them.
            squall::shards::Shard::current().statistics().streams.to_string()
        }
    });
    assert_eq!(said, "1");
}

#[test]
fn a_rejected_certificate_is_named_with_its_fault() {
    let (authority, own) = for_localhost();
    let stranger = Authority::new();
    let late = authority.issue_as("late", &["localhost"], |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    let early = authority.issue_as("early", &["localhost"], |params| {
        params.not_before = rcgen::date_time_ymd(2100, 1, 1);
        params.not_after = rcgen::date_time_ymd(2101, 1, 1);
    });
    let other = authority.issue(&["other.example", "*.wild.example"]);
    let trusted = || trusting(&authority);
    for (tls, certificate, said) in [
        (
            trusted(),
            &late,
            "the certificate of localhost expired on Fri, 01 Jan 2021 00:00:00 GMT; renew it",
        ),
        (
            trusted(),
            &early,
            "is valid from Fri, 01 Jan 2100 00:00:00 GMT; check the clock",
        ),
        (
            trusted(),
            &other,
            "is for another name: other.example, *.wild.example; check the URL",
        ),
        (
            trusting(&stranger),
            &own,
            "no trusted authority has issued the certificate of localhost; trust",
        ),
    ] {
        let running = serve(certificate.tls());
        let error = get(tls, &url(&running, "/")).unwrap_err();
        assert!(error.starts_with("could not fetch https://localhost:"), "{error}");
        assert!(error.contains(said), "{error}");
    }
    let running = serve(own.tls());
    let url = url(&running, "/");
    let stranger = trusting(&stranger);
    on_shard(move || {
        let (url, stranger) = (url.clone(), stranger.clone());
        async move {
            let error = client(stranger).get(&url).send().await.unwrap_err();
            let FetchFailure::Tls(failure) = error.failure() else {
                panic!("{error}")
            };
            assert!(failure.is_certificate() && error.is_connect() && !error.is_timeout());
        }
    });
}

#[test]
fn a_client_without_verification_says_so_in_its_name_and_accepts_any_certificate() {
    let running = serve(Tls::self_signed());
    let said = get(
        ClientTls::new().dangerously_accept_any_certificate(),
        &url(&running, "/"),
    );
    assert_eq!(said.unwrap(), "https http/1.1 localhost 0");
}

#[test]
fn a_client_asks_for_the_name_it_is_given_in_place_of_the_url_s() {
    let authority = Authority::new();
    let running = serve(authority.issue(&["a.example"]).tls());
    let url = format!("https://{}/", running.address);
    let error = get(trusting(&authority), &url).unwrap_err();
    assert!(
        error.contains("the certificate of 127.0.0.1 is for another name: a.example"),
        "{error}"
    );
    let named = trusting(&authority).server_name("a.example").unwrap();
    assert_eq!(get(named, &url).unwrap(), "https http/1.1 a.example 0");
}

#[test]
fn an_address_in_the_url_is_verified() {
    let authority = Authority::new();
    let running = serve(authority.issue(&["127.0.0.1"]).tls());
    let said = get(trusting(&authority), &format!("https://{}/", running.address));
    assert_eq!(said.unwrap(), "https http/1.1 - 0");
}

#[test]
fn a_client_presents_its_certificate_to_a_server_that_asks() {
    let (authority, own) = for_localhost();
    let of_client = authority.issue(&["client.example"]);
    let running = serve(own.tls().client_ca(authority.file()));
    let (chain, key) = (
        fs::read(&of_client.certificate).unwrap(),
        fs::read(&of_client.key).unwrap(),
    );
    let identified = trusting(&authority).identity(chain, key).unwrap();
    assert_eq!(
        get(identified, &url(&running, "/")).unwrap(),
        "https http/1.1 localhost 1"
    );
    let error = get(trusting(&authority), &url(&running, "/")).unwrap_err();
    assert!(error.contains("CertificateRequired"), "{error}");
}

/// RFC 9112 §9.8: content that ends with its connection is complete only behind a `close_notify`.
#[test]
fn content_that_an_attacker_could_have_cut_is_an_error() {
    let (authority, own) = for_localhost();
    let origin = Origin::start(config(&own, rustls::ALL_VERSIONS), |served| {
        let request = served.request().unwrap();
        let target = request.split(' ').nth(1).unwrap();
        match target.split('?').next().unwrap() {
            "/length" => served.send(&ok("whole")),
            "/cut-length" => served.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
            "/chunks" => served.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
            _ => served.send(b"HTTP/1.1 200 OK\r\n\r\nuntil the end"),
        }
        match request.contains("closed") {
            true => served.close(),
            false => served.cut(),
        }
    });
    for (path, expected) in [
        ("/end?closed", Ok("until the end")),
        ("/end", Err("closed the connection")),
        ("/length", Ok("whole")),
        ("/cut-length", Err("closed the connection")),
        ("/cut-length?closed", Err("closed the connection")),
        ("/chunks?closed", Err("closed the connection")),
    ] {
        let fetched = get(trusting(&authority), &origin.url(path));
        match expected {
            Ok(content) => assert_eq!(fetched.as_deref(), Ok(content), "{path}"),
            Err(said) => {
                let error = fetched.expect_err(path);
                assert!(error.contains(said), "{path}: {error}");
            }
        }
    }
}

/// Many servers end unused connections without a `close_notify`.
#[test]
fn an_end_between_requests_needs_no_close_notify() {
    let (authority, own) = for_localhost();
    let origin = Origin::start(config(&own, rustls::ALL_VERSIONS), |served| {
        served.request().unwrap();
        let number = served.number.to_string();
        served.send(&ok(&number));
        served.cut();
        // Until the client has closed it.
        served.request();
    });
    let url = origin.url("/");
    let said = run(trusting(&authority), move |client| {
        let url = url.clone();
        async move {
            let mut said = String::new();
            for _ in 0..4 {
                said += &text(&client, &url).await.unwrap();
            }
            said
        }
    });
    assert_eq!(said, "0123");
}

/// RFC 8446 §6.1: the client's last bytes on a connection that it gives up are a close_notify.
#[test]
fn an_unused_connection_ends_with_a_close_notify() {
    let (authority, own) = for_localhost();
    let (sender, receiver) = crossbeam::channel::unbounded();
    let origin = Origin::start(config(&own, rustls::ALL_VERSIONS), move |served| {
        served.request().unwrap();
        served.send(&ok(""));
        sender.send(served.is_closed_properly()).unwrap();
    });
    let (url, tls) = (origin.url("/"), trusting(&authority));
    on_shard(move || {
        let (url, tls, receiver) = (url.clone(), tls.clone(), receiver.clone());
        async move {
            let client = Client::builder().tls(tls).idle_timeout(SOON).build().unwrap();
            text(&client, &url).await.unwrap();
            let closed = squall::shards::spawn_blocking(move || receiver.recv().unwrap()).await;
            assert!(closed.unwrap());
        }
    });
}

/// A client on another shard resumes the session, and a client with other rules does not.
#[test]
fn sessions_are_resumed_on_every_shard_and_by_no_other_rules() {
    let (authority, own) = for_localhost();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let origin = Origin::start(config(&own, &[version]), |served| {
            served.request().unwrap();
            let said = format!("{} {}", served.agreed(), served.was_resumed());
            let response = format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{said}",
                said.len()
            );
            served.send(response.as_bytes());
            served.close();
        });
        let tls = trusting(&authority);
        // Each runs on a shard of its own.
        for resumed in [false, true, true] {
            let said = get(tls.clone(), &origin.url("/")).unwrap();
            assert_eq!(said, format!("localhost http/1.1 {resumed}"), "{version:?}");
        }
        let said = get(trusting(&authority), &origin.url("/")).unwrap();
        assert_eq!(said, "localhost http/1.1 false");
    }
}

#[test]
fn a_handshake_has_the_time_of_the_connection() {
    let silent = Origin::plain(|mut stream, _| {
        // Until the client has closed it.
        drop(stream.read_to_end(&mut Vec::new()));
    });
    let url = format!("https://{}/", silent.address);
    on_shard(move || {
        let url = url.clone();
        async move {
            let client = Client::builder().connect_timeout(SOON).build().unwrap();
            let insecure = ClientTls::new().dangerously_accept_any_certificate();
            let other = Client::builder().tls(insecure).timeout(SOON).build().unwrap();
            for (client, expected) in [(client, Step::Connect), (other, Step::Whole)] {
                let error = client.get(&url).send().await.unwrap_err();
                assert!(
                    matches!(error.failure(), FetchFailure::Timeout { step, .. } if *step == expected),
                    "{error}"
                );
            }
        }
    });
}

#[test]
fn a_server_that_speaks_no_tls_is_named() {
    let plain = Origin::plain(|mut stream, _| {
        drop(stream.read(&mut [0; 1024]));
        drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"));
    });
    let gone = Origin::plain(|stream, _| drop(stream));
    let url = |origin: &Origin| format!("https://127.0.0.1:{}/", origin.address.port());
    let any = || ClientTls::new().dangerously_accept_any_certificate();
    let error = get(any(), &url(&plain)).unwrap_err();
    assert!(
        error.contains("127.0.0.1 answers without TLS; check the port"),
        "{error}"
    );
    let error = get(any(), &url(&gone)).unwrap_err();
    assert!(error.contains("in the handshake of TLS"), "{error}");
}

/// No redirect leads from `https` to `http`, and credentials stay on their origin.
#[test]
fn redirects_keep_credentials_from_other_schemes() {
    let (authority, own) = for_localhost();
    let secure = Origin::start(config(&own, rustls::ALL_VERSIONS), |served| {
        while let Some(request) = served.request() {
            let request = request.to_ascii_lowercase();
            match request.starts_with("get /leave") {
                true => served.send(b"HTTP/1.1 302 Found\r\nLocation: http://localhost/\r\nContent-Length: 0\r\n\r\n"),
                false => {
                    let has_credentials = request.contains("authorization:") || request.contains("cookie:");
                    served.send(&ok(&has_credentials.to_string()));
                }
            }
        }
    });
    let location = secure.url("/");
    let plain = Origin::plain(move |mut stream, _| {
        drop(stream.read(&mut [0; 4096]));
        let head = format!("HTTP/1.1 307 Elsewhere\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        drop(stream.write_all(head.as_bytes()));
    });
    let (from_plain, leaving) = (format!("http://{}/", plain.address), secure.url("/leave"));
    let said = run(trusting(&authority), move |client| {
        let (from_plain, leaving) = (from_plain.clone(), leaving.clone());
        async move {
            let request = client.get(&from_plain).bearer_auth("secret").header("cookie", "a=b");
            let said = request.send().await.unwrap().text().await.unwrap();
            let error = client.get(&leaving).send().await.unwrap_err();
            format!("{said}, {error}")
        }
    });
    assert!(said.starts_with("false, could not fetch"), "{said}");
    assert!(said.contains("it leads from https to http"), "{said}");
}

/// A proxy that opens tunnels: it sees the host, and ciphertext.
#[test]
fn https_goes_through_a_tunnel_of_the_proxy() {
    let (authority, own) = for_localhost();
    let running = serve(own.tls());
    let server = running.address;
    let proxy = Origin::plain(move |mut client, _| {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let expected = format!("CONNECT localhost:{} HTTP/1.1\r\n", server.port());
        assert!(
            head.starts_with(expected.as_bytes()),
            "{}",
            String::from_utf8_lossy(&head)
        );
        let mut upstream = TcpStream::connect(server).unwrap();
        client
            .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
            .unwrap();
        let (mut from_client, mut to_server) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
        let forward = thread::spawn(move || {
            // Either side may end first.
            drop(io::copy(&mut from_client, &mut to_server));
            drop(to_server.shutdown(Shutdown::Both));
        });
        drop(io::copy(&mut upstream, &mut client));
        drop(client.shutdown(Shutdown::Both));
        forward.join().unwrap();
    });
    let (url, tls, through) = (
        url(&running, "/"),
        trusting(&authority),
        format!("http://{}", proxy.address),
    );
    on_shard(move || {
        let (url, tls, through) = (url.clone(), tls.clone(), through.clone());
        async move {
            let client = Client::builder().tls(tls).proxy(Proxy::https(through)).build().unwrap();
            for _ in 0..2 {
                assert_eq!(text(&client, &url).await.unwrap(), "https http/1.1 localhost 0");
            }
        }
    });
    assert_eq!(proxy.connections(), 1);
}

/// The roots of the system are those that `SSL_CERT_FILE` names, as for other programs.
#[test]
fn a_client_without_settings_trusts_the_roots_of_the_system() {
    let (authority, own) = for_localhost();
    let origin = Origin::repeating(
        config(&own, rustls::ALL_VERSIONS),
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    );
    let fetch = |roots: &std::path::Path| {
        let output = std::process::Command::new(path_of("tls_fetch"))
            .arg(origin.url("/"))
            .env("SSL_CERT_FILE", roots)
            .env_remove("SSL_CERT_DIR")
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(fetch(&authority.file()), "200 hi\n");
    let said = fetch(&Authority::new().file());
    assert!(
        said.contains("no trusted authority has issued the certificate of localhost"),
        "{said}"
    );
    let empty = authority.folder().join("empty.pem");
    fs::write(&empty, "").unwrap();
    let said = fetch(&empty);
    assert!(
        said.contains("the system has no roots") && said.contains("install ca-certificates"),
        "{said}"
    );
}
