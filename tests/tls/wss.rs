//! The WebSocket client over TLS.

use std::io::Read as _;
use std::time::Duration;

use squall::client::{ClientOptions, ClientTls, ConnectFailure};
use squall::prelude::*;
use squall::websocket::{DeflateConfig, Message};

use crate::authority::Authority;
use crate::https::trusting;
use crate::origin::{Origin, for_localhost};
use crate::support::running::Running;
use crate::support::shard::on_shard;

struct Echo;

impl WebSocketHandler for Echo {
    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        match &message {
            Message::Text(text) if text.as_str() == "leave" => ws.close(4000, "as you wish")?,
            _ => ws.send(message).await?,
        }
        Ok(())
    }
}

/// Greets at once, so that a message comes with the response of the handshake.
struct Greeting(String);

impl WebSocketHandler for Greeting {
    async fn open(&mut self, ws: &WebSocket) -> Result {
        ws.send(self.0.clone()).await?;
        Ok(())
    }

    async fn on_message(&mut self, _: &WebSocket, _: Message) -> Result {
        Ok(())
    }
}

async fn greet(cx: &mut Context) -> Result<Greeting> {
    let tls = cx.tls().unwrap();
    Ok(Greeting(format!(
        "{} {}",
        cx.protocol(),
        tls.server_name().unwrap_or("-")
    )))
}

fn application() -> Application {
    Application::new()
        .websocket("/echo", async |_: &mut Context| Ok(Echo))
        .websocket("/greeting", greet)
}

fn start() -> (Authority, Running) {
    let (authority, own) = for_localhost();
    (
        authority,
        Running::serve(Server::new(application).shards(1).tls(own.tls())),
    )
}

fn url(running: &Running, path: &str) -> String {
    format!("wss://localhost:{}{path}", running.address.port())
}

#[test]
fn messages_go_both_ways_whole_and_compressed() {
    let (authority, running) = start();
    let (tls, url) = (trusting(&authority), url(&running, "/echo"));
    on_shard(move || {
        let (tls, url) = (tls.clone(), url.clone());
        async move {
            for options in [
                ClientOptions::default(),
                ClientOptions::default().deflate(DeflateConfig::default()),
            ] {
                let client = options.tls(tls.clone()).connect(&url).await.unwrap();
                for message in [
                    Message::from("Hello"),
                    Message::from("Hello ".repeat(100_000)),
                    Message::from(vec![7; 500_000]),
                ] {
                    client.send(message.clone()).await.unwrap();
                    assert!(client.next().await == Some(message));
                }
                let end = client.close(1000, "done").await.unwrap();
                assert_eq!(end.code, Some(1000));
            }
        }
    });
}

#[test]
fn a_message_behind_the_handshake_and_the_code_of_a_close_arrive() {
    let (authority, running) = start();
    let (tls, greeting, echo) = (trusting(&authority), url(&running, "/greeting"), url(&running, "/echo"));
    on_shard(move || {
        let options = ClientOptions::default().tls(tls.clone());
        let (greeting, echo) = (greeting.clone(), echo.clone());
        async move {
            let client = options.connect(&greeting).await.unwrap();
            assert_eq!(client.next().await, Some(Message::from("https localhost")));
            let client = options.connect(&echo).await.unwrap();
            client.send("leave").await.unwrap();
            assert_eq!(client.next().await, None);
            let end = client.end().unwrap();
            assert_eq!((end.code, end.reason.as_str()), (Some(4000), "as you wish"));
        }
    });
}

#[test]
fn a_rejected_certificate_and_a_silent_server_are_named() {
    let (_authority, running) = start();
    let silent = Origin::plain(|mut stream, _| {
        // Until the client has closed it.
        drop(stream.read_to_end(&mut Vec::new()));
    });
    let (stranger, url) = (trusting(&Authority::new()), url(&running, "/echo"));
    let silent_url = format!("wss://{}/", silent.address);
    on_shard(move || {
        let (stranger, url, silent_url) = (stranger.clone(), url.clone(), silent_url.clone());
        async move {
            let options = ClientOptions::default().tls(stranger);
            let error = options.connect(&url).await.unwrap_err();
            assert!(
                matches!(error.failure(), ConnectFailure::Tls(failure) if failure.is_certificate()),
                "{error}"
            );
            let said = error.to_string();
            assert!(
                said.starts_with("could not open a WebSocket at wss://localhost:"),
                "{said}"
            );
            assert!(said.contains("no trusted authority has issued"), "{said}");
            let impatient = ClientOptions::default()
                .tls(ClientTls::new().dangerously_accept_any_certificate())
                .connect_timeout(Duration::from_millis(50));
            let error = impatient.connect(&silent_url).await.unwrap_err();
            assert!(matches!(error.failure(), ConnectFailure::Silent(_)), "{error}");
        }
    });
}
