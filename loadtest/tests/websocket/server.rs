//! Scripted test servers of WebSockets and event streams, correct and faulty, with a thread per connection.
//!
//! They use tungstenite, which shares no code with the generator's client.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tungstenite::handshake::server::{Request, Response};
use tungstenite::{Message, WebSocket, accept_hdr};

use crate::support::serve_streams;

/// Starts a server that answers any request with `answer` and closes.
pub(crate) fn answering(answer: impl Into<Vec<u8>>) -> SocketAddr {
    let answer = answer.into();
    serve_streams(move |_, mut stream| {
        read_head(&mut stream);
        stream.write_all(&answer).ok();
    })
}

/// Reads up to the end of a request's head.
pub(crate) fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Completes the handshake; returns the WebSocket and the request's path.
pub(crate) fn accept(stream: TcpStream) -> Option<(WebSocket<TcpStream>, String)> {
    let mut path = String::new();
    #[expect(clippy::result_large_err, reason = "tungstenite's signature")]
    let note_path = |request: &Request, response: Response| {
        path = request.uri().path().to_owned();
        Ok(response)
    };
    let socket = accept_hdr(stream, note_path).ok()?;
    Some((socket, path))
}

/// Starts an echo that sends `answer(number, message)` for each message, numbered from 1 on its connection; it closes
/// on `None`.
pub(crate) fn echoing(answer: impl Fn(u64, Message) -> Option<Vec<Message>> + Send + Sync + 'static) -> SocketAddr {
    serve_streams(move |_, stream| {
        let Some((mut socket, _)) = accept(stream) else { return };
        let mut number = 0;
        while let Ok(message) = socket.read() {
            if !(message.is_binary() || message.is_text()) {
                continue;
            }
            number += 1;
            let Some(answers) = answer(number, message) else { return };
            for answer in answers {
                if socket.send(answer).is_err() {
                    return;
                }
            }
        }
    })
}

/// How one message reaches one subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    Once,
    Never,
    /// After a notice that this many messages before it are missing.
    AfterNotice(u64),
    Twice,
    /// After the next message.
    AfterNext,
    /// With its last byte changed.
    Changed,
    /// In an invalid frame or chunk.
    Forbidden,
    /// Never; the server closes the subscriber's connection.
    Close,
    /// Delivered; then the server closes the publisher's connection.
    ClosePublisher,
}

/// A topic: `/ws/pub` publishes; `/ws/sub` and the event stream `/events` subscribe.
pub(crate) struct Topic {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

struct State {
    /// Subscribers in the order of their handshakes.
    subscribers: Mutex<Vec<Subscriber>>,
    /// Published messages without greetings.
    published: AtomicU64,
    /// Messages announced as missed.
    missed: AtomicU64,
    delivery_of: Box<dyn Fn(usize, u64) -> Delivery + Send + Sync>,
}

struct Subscriber {
    stream: TcpStream,
    protocol: Protocol,
    /// A delayed message, encoded.
    held: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
enum Protocol {
    WebSocket,
    EventStream,
}

impl Topic {
    /// Starts a topic that delivers each message as `delivery_of(subscriber's index, message's number)` says.
    pub(crate) fn start(delivery_of: impl Fn(usize, u64) -> Delivery + Send + Sync + 'static) -> Self {
        let state = Arc::new(State {
            subscribers: Mutex::new(Vec::new()),
            published: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            delivery_of: Box::new(delivery_of),
        });
        let served = Arc::clone(&state);
        let address = serve_streams(move |_, stream| served.serve(stream));
        Self { address, state }
    }

    /// Returns the number of published messages so far, without greetings.
    pub(crate) fn published(&self) -> u64 {
        self.state.published.load(Ordering::SeqCst)
    }
}

impl State {
    fn serve(&self, mut stream: TcpStream) {
        // A request comes in one segment.
        let mut beginning = [0; STATISTICS_REQUEST.len()];
        stream.peek(&mut beginning).ok();
        if beginning.starts_with(EVENTS_REQUEST) {
            read_head(&mut stream);
            stream.write_all(EVENTS_HEAD).ok();
            self.subscribe(stream.try_clone().unwrap(), Protocol::EventStream);
            // Returns when the client has closed the connection.
            stream.read_exact(&mut [0]).ok();
            return;
        }
        if beginning == *STATISTICS_REQUEST {
            let body = format!("{{\"missed\":{}}}", self.missed.load(Ordering::SeqCst));
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            // The client may have closed the connection already.
            stream.write_all((head + &body).as_bytes()).ok();
            return;
        }
        let Some((mut socket, path)) = accept(stream) else {
            return;
        };
        if path == "/ws/sub" {
            self.subscribe(socket.get_ref().try_clone().unwrap(), Protocol::WebSocket);
        }
        while let Ok(message) = socket.read() {
            let number = match &message {
                Message::Binary(payload) => u64::from_le_bytes(payload[..8].try_into().unwrap()),
                Message::Text(text) => u64::from_str_radix(&text[..16], 16).unwrap(),
                _ => continue,
            };
            if path == "/ws/pub" && !self.publish(number, &message.into_data()) {
                return;
            }
        }
    }

    fn subscribe(&self, stream: TcpStream, protocol: Protocol) {
        self.subscribers.lock().unwrap().push(Subscriber {
            stream,
            protocol,
            held: Vec::new(),
        });
    }

    /// Delivers a message; returns whether the publisher may continue.
    fn publish(&self, number: u64, payload: &[u8]) -> bool {
        let mut may_go_on = true;
        if number > 0 {
            self.published.fetch_add(1, Ordering::SeqCst);
        }
        for (index, subscriber) in self.subscribers.lock().unwrap().iter_mut().enumerate() {
            let Subscriber { stream, protocol, held } = subscriber;
            let delivery_of = if number == 0 {
                Delivery::Once
            } else {
                (self.delivery_of)(index, number)
            };
            let frame = protocol.encode(payload);
            let mut out = match delivery_of {
                Delivery::Once => frame,
                Delivery::Never => Vec::new(),
                Delivery::AfterNotice(missed) => {
                    self.missed.fetch_add(missed, Ordering::SeqCst);
                    [protocol.notice(missed), frame].concat()
                }
                Delivery::Twice => [frame.clone(), frame].concat(),
                Delivery::AfterNext => {
                    *held = frame;
                    continue;
                }
                Delivery::Changed => {
                    let mut changed = payload.to_vec();
                    *changed.last_mut().unwrap() ^= 1;
                    protocol.encode(&changed)
                }
                Delivery::Forbidden => protocol.forbidden(frame),
                Delivery::ClosePublisher => {
                    may_go_on = false;
                    frame
                }
                Delivery::Close => {
                    stream.shutdown(std::net::Shutdown::Both).ok();
                    continue;
                }
            };
            out.append(held);
            // A closed subscriber must not affect the others.
            stream.write_all(&out).ok();
        }
        may_go_on
    }
}

/// The request line that asks for the statistics.
const STATISTICS_REQUEST: &[u8; 19] = b"GET /ws/statistics ";

/// The request line that asks for the event stream.
const EVENTS_REQUEST: &[u8] = b"GET /events HTTP/1.";

const EVENTS_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

impl Protocol {
    /// Encodes a published message.
    fn encode(self, payload: &[u8]) -> Vec<u8> {
        match self {
            Self::WebSocket => frame(payload),
            Self::EventStream => event("", payload),
        }
    }

    /// Encodes a notice about missed messages.
    fn notice(self, missed: u64) -> Vec<u8> {
        let text = format!("{{\"topic\":\"t\",\"missed\":{missed}}}");
        match self {
            Self::WebSocket => {
                let mut frame = frame(text.as_bytes());
                frame[0] = 0x81;
                frame
            }
            Self::EventStream => event("event: notice\n", text.as_bytes()),
        }
    }

    /// Makes an encoded message invalid.
    fn forbidden(self, mut encoded: Vec<u8>) -> Vec<u8> {
        match self {
            Self::WebSocket => encoded[0] |= 0x40,
            Self::EventStream => encoded[0] = b'g',
        }
        encoded
    }
}

/// Encodes an event as two chunks, which cut its data.
fn event(fields: &str, data: &[u8]) -> Vec<u8> {
    let (begin, end) = data.split_at(data.len() / 2);
    let chunk = |content: Vec<u8>| [format!("{:x}\r\n", content.len()).as_bytes(), &content, b"\r\n"].concat();
    [
        chunk([fields.as_bytes(), b"data: ", begin].concat()),
        chunk([end, b"\n\n"].concat()),
    ]
    .concat()
}

/// Encodes a final, unmasked binary frame of up to 125 bytes.
fn frame(payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).ok().filter(|length| *length <= 125);
    [&[0x82, length.expect("messages are short here")], payload].concat()
}
