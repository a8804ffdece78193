//! A handler that runs its client's commands and reports its end.

use std::sync::mpsc::{Receiver, Sender, channel};

use squall::prelude::*;
use squall::websocket::Limits;
use squall::websocket::Message;

use crate::support::running::Running;

/// The code and the reason that `on_close` got.
pub(crate) type End = (Option<u16>, String);

struct CommandHandler {
    ended: Sender<End>,
}

impl WebSocketHandler for CommandHandler {
    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        let text = message.as_str().unwrap();
        let (verb, what) = text.split_once(' ').unwrap_or((text, ""));
        match verb {
            "close" => Ok(ws.close(what.parse()?, "")?),
            "flood" => loop {
                ws.send(vec![7; 8 * 1024]).await?;
            },
            "join" => {
                let joined = ws.subscribe(what);
                Ok(ws.send(if joined.is_ok() { "joined" } else { "refused" }).await?)
            }
            "leave" => {
                let left = ws.unsubscribe(what)?;
                Ok(ws.send(if left { "left" } else { "was not there" }).await?)
            }
            _ => Ok(ws.send(message).await?),
        }
    }

    async fn on_close(&mut self, _: &WebSocket, code: Option<u16>, reason: &str) {
        self.ended.send((code, reason.to_owned())).unwrap_or_default();
    }
}

/// Starts a server of one shard with this handler at `/`.
pub(crate) fn serve(limits: Limits, change: impl FnOnce(Server) -> Server) -> (Running, Receiver<End>) {
    let (ended, ends) = channel();
    let server = Server::new(move || {
        let ended = ended.clone();
        let options = WebSocketOptions::default().limits(limits.clone());
        Application::new().websocket_with("/", options, async move |_: &mut Context| {
            let ended = ended.clone();
            Ok(CommandHandler { ended })
        })
    });
    (Running::serve(change(server.shards(1))), ends)
}
