//! A blocking client of one event stream.

use std::collections::VecDeque;

use anyhow::{Result, bail};

use super::EventReader;
use super::response::{HeadReader, request};
use crate::load::socket::{Protocol, Socket, SocketOptions};
use crate::load::target::Target;

/// An open event stream.
pub(crate) type EventSocket = Socket<EventReader>;

impl Protocol for EventReader {
    type Opening = HeadReader;

    const CLOSED_EARLY: &'static str = "the server closed the connection before it answered";

    const CLOSED: &'static str = "the server closed the event stream";

    fn request(target: &Target, options: &SocketOptions<'_>) -> (HeadReader, Vec<u8>) {
        let request = request(&target.authority, &target.path, options.headers);
        (HeadReader::default(), request)
    }

    fn open(head: &mut HeadReader, received: &[u8], options: &SocketOptions<'_>) -> Result<Option<(Self, Vec<u8>)>> {
        let opened = head.receive(received)?;
        Ok(opened.map(|(framing, surplus)| (Self::new(framing, options.message_bytes_max), surplus)))
    }

    fn take(&mut self, received: &[u8], messages: &mut VecDeque<Vec<u8>>) -> Result<Vec<u8>> {
        self.receive(received, |event| {
            if !event.name.is_empty() {
                bail!(
                    "the server sent an event named `{}`; this run publishes only messages",
                    event.name.escape_ascii()
                );
            }
            messages.push_back(event.data.to_vec());
            Ok(())
        })?;
        Ok(Vec::new())
    }
}
