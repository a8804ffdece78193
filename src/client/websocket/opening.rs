//! The client's opening handshake (RFC 6455 §4.1): connects, with TLS for `wss`, sends the request, checks the response,
//! starts the driver's task.
//!
//! Invariant: bytes behind the response are kept, because the server may send frames at once.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use http::header;
use squall_shards::{Deadline, clock, timeout_at};

use super::options::ClientOptions;
use super::random;
use super::socket::WebSocketClient;
use crate::client::connect::{HTTP_1, connect};
use crate::client::error::{ConnectError, ConnectFailure};
use crate::client::url::Url;
use crate::http1::{ResponseError, ResponseReader, write_get};
use crate::memory::OutOfMemory;
use crate::message::{HeaderName, Headers, ResponseHead};
use crate::transport::input::Input;
use crate::transport::socket::Socket;
use crate::transport::websocket::Connected;
use crate::websocket::Duplex;
use crate::websocket::{ClientHandshake, ClientHandshakeError, Connection, Deflaters};

thread_local! {
    /// The compressors of the shard's clients.
    static DEFLATERS: Rc<RefCell<Deflaters>> = Rc::default();
}

/// Fields that the handshake sets, or that would announce content. The application may not set them.
const OWN_FIELDS: [HeaderName; 8] = [
    header::CONNECTION,
    header::UPGRADE,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
];

pub(in crate::client) async fn open(url: &Url, options: &ClientOptions) -> Result<WebSocketClient, ConnectFailure> {
    let handshake = handshake(options)?;
    let fields = fields(url, options, &handshake)?;
    let deadline = clock::after(options.connect_timeout);
    let socket = reach(url, options, deadline).await?;
    let mut request = socket.take_buffer();
    write_get(&url.target, &fields, &mut request);
    let answer = timeout_at(deadline, exchange(&socket, request)).await;
    let (head, input) = answer.unwrap_or_else(|| {
        // A reset: a response that still arrives would stay unread.
        socket.give_up();
        Err(ConnectFailure::Silent(options.connect_timeout))
    })?;
    let connected = Connected {
        socket,
        input,
        input_ended: false,
        peer_has_finished: false,
        deadline: Deadline::new(),
    };

    let deflaters = DEFLATERS.with(Rc::clone);
    let agreement = handshake.check(&head, &deflaters.borrow());
    let agreement = agreement.map_err(|error| match error {
        ClientHandshakeError::Status(_) => ConnectFailure::Refused(head),
        error => ConnectFailure::Handshake(error),
    })?;
    let mask_keys = Box::new(random::mask_key);
    let limits = Rc::new(options.limits.clone());
    let machine = Connection::client(limits, agreement.deflate, mask_keys, clock::now());
    let duplex = Duplex::new(machine, &deflaters);
    Ok(WebSocketClient::start(
        connected,
        duplex,
        agreement.subprotocol,
        url.authority.clone(),
        options,
    ))
}

impl ClientOptions {
    /// Opens a WebSocket, as [`connect`](crate::client::connect) does.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there.
    ///
    /// # Panics
    ///
    /// As there.
    pub async fn connect(&self, url: &str) -> Result<WebSocketClient, ConnectError> {
        let opened = match Url::parse(url) {
            Ok(url) => open(&url, self).await,
            Err(failure) => Err(failure),
        };
        opened.map_err(|failure| ConnectError::new(url, failure))
    }
}

/// Connects to the server of a URL before a deadline.
async fn reach(url: &Url, options: &ClientOptions, deadline: Instant) -> Result<Socket, ConnectFailure> {
    let connection = async || {
        connect(&url.host, url.port, deadline)
            .await
            .map_err(ConnectFailure::Connect)
    };
    if !url.is_secure {
        return connection().await;
    }
    let secured = timeout_at(deadline, async {
        let tls = options.security.prepare(&url.host, HTTP_1).await?;
        Ok::<_, ConnectFailure>(tls.secure(connection().await?).await?)
    });
    secured
        .await
        .unwrap_or(Err(ConnectFailure::Silent(options.connect_timeout)))
}

fn handshake(options: &ClientOptions) -> Result<ClientHandshake, ConnectFailure> {
    let nonce = random::draw().map_err(ConnectFailure::Random)?;
    let mut handshake = ClientHandshake::new(nonce);
    for name in &options.subprotocols {
        handshake = handshake.subprotocol(name);
    }
    if let Some(config) = &options.deflate {
        handshake = handshake.deflate(config.clone());
    }
    Ok(handshake)
}

/// The fields of the request: those of the URL, the application and the handshake.
fn fields(url: &Url, options: &ClientOptions, handshake: &ClientHandshake) -> Result<Headers, ConnectFailure> {
    let mut fields = Headers::new();
    fields.set(header::HOST, url.authority.clone());
    for (name, value) in options.headers.iter() {
        if OWN_FIELDS.contains(name) {
            return Err(ConnectFailure::Field(name.clone()));
        }
        // The application's `Host` replaces the URL's.
        match *name == header::HOST {
            true => fields.set(name.clone(), value.clone()),
            false => fields.add(name.clone(), value.clone()),
        }
    }
    let own = handshake.fields().map_err(ConnectFailure::Handshake)?;
    for (name, value) in own.iter() {
        fields.set(name.clone(), value.clone());
    }
    Ok(fields)
}

/// Sends the request, and reads the head of the response and the bytes behind it.
async fn exchange(socket: &Socket, request: Vec<u8>) -> Result<(ResponseHead, Input), ConnectFailure> {
    socket.send(request).await.map_err(ConnectFailure::Broken)?;
    let mut reader = ResponseReader::default();
    let mut input = Input::default();
    while let Some(received) = socket.receive().await.map_err(ConnectFailure::Broken)? {
        input.push(received, socket).map_err(out_of_memory)?;
        let mut rest = input.bytes();
        let presented = rest.len();
        let head = reader.receive(&mut rest)?;
        let consumed = presented - rest.len();
        input.consume(consumed, socket);
        input.set_aside(socket).map_err(out_of_memory)?;
        if let Some(head) = head {
            return Ok((head, input));
        }
    }
    Err(ResponseError::Truncated.into())
}

fn out_of_memory(error: OutOfMemory) -> ConnectFailure {
    ConnectFailure::Broken(error.into())
}
