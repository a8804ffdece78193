//! The application that the wire tests run against; its routes are a contract with `tests/wire/`.
//!
//! ```text
//! cargo run --release --example conformance -- --listen 127.0.0.1:8080 --max-body-bytes 65536
//! curl -i --data-binary abc http://127.0.0.1:8080/echo
//! ```
//!
//! As an example of this package it has the features of the tests, among them `compression` and `gettext`.

mod arguments;
mod files;
mod identity;
mod pages;
mod plain;
mod protection;
#[path = "../sockets/mod.rs"]
mod sockets;

use clap::Parser;
use squall::Options;
use squall::prelude::*;
use squall::websocket::Message;

/// A topic whose history is limited only by the server's own bounds.
const HISTORY_TOPIC: &str = "kept";

/// The flags of the server, and those of the application.
#[derive(Debug, Parser)]
#[group(skip)]
struct Flags {
    #[command(flatten)]
    squall: Options,
    #[command(flatten)]
    application: ApplicationFlags,
}

/// The flags of the application.
#[derive(Debug, Clone, clap::Args)]
struct ApplicationFlags {
    #[command(flatten)]
    files: files::Flags,
    #[command(flatten)]
    arguments: arguments::Flags,
    #[command(flatten)]
    identity: identity::Flags,
}

/// Publishes every message to a topic with a history.
struct HistoryPublisher;

impl WebSocketHandler for HistoryPublisher {
    fn check_origin(&self, _: &Context) -> bool {
        true
    }

    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        ws.publish(HISTORY_TOPIC, message).await
    }
}

fn application(flags: &ApplicationFlags) -> Application {
    let mut application = Application::new().automatic_options(false);
    application = plain::add_to(application);
    application = arguments::add_to(application, &flags.arguments);
    application = files::add_to(application, &flags.files);
    application = pages::add_to(application);
    application = protection::add_to(application);
    application = identity::add_to(application, &flags.identity);
    sockets::add_to(application).websocket("/ws/keep", async |_: &mut Context| Ok(HistoryPublisher))
}

fn main() -> Result {
    let Flags {
        squall,
        application: flags,
    } = Flags::parse();
    let all = HistoryLimits::default().max_messages(usize::MAX).max_bytes(usize::MAX);
    Server::from_options(squall, move || application(&flags))
        .topic(HISTORY_TOPIC, TopicOptions::default().history(all))
        .run()
}
