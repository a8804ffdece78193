//! Sections 12 and 13: compressed messages of every size come back unchanged, for all content and all negotiated
//! parameters (RFC 7692).
//!
//! The client deflates and inflates with zlib, with the window and takeover of the server's response. A server that
//! looks back further than it may, or drops a context it must keep, fails. The suite sends a thousand messages for
//! each case. This test sends 64 KiB of them, and at least three, so that the last two look back.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use squall::http1;
use squall::message::{RequestHead, ResponseHead, header};
use squall::websocket::{Deflate, DeflateConfig, Deflaters, Limits, ServerHandshake};

use crate::case::{BINARY, CONTINUATION, FIN, RSV1, TEXT, fragments};
use crate::content::Content;
use crate::machine::{self, Echo, moment};
use crate::support::server::Server;
use crate::support::websocket::{Client, Frame, handshake};
use crate::support::{Outcome, ensure, for_each_case};

/// How many bytes of content a case sends.
const CASE_BYTES: usize = 64 * 1024;

/// Messages of a case: three at least, a thousand at most.
const MESSAGES: std::ops::RangeInclusive<usize> = 3..=1000;

/// The end of every flush, which is not sent (§7.2.1).
const TAIL: &[u8] = b"\x00\x00\xff\xff";

/// The size of the messages of each case of a group, and that of their fragments, of compressed bytes.
const SIZES: [(usize, usize); 18] = [
    (16, usize::MAX),
    (64, usize::MAX),
    (256, usize::MAX),
    (1024, usize::MAX),
    (4096, usize::MAX),
    (8192, usize::MAX),
    (16_384, usize::MAX),
    (32_768, usize::MAX),
    (65_536, usize::MAX),
    (131_072, usize::MAX),
    (8192, 256),
    (16_384, 256),
    (32_768, 256),
    (65_536, 256),
    (131_072, 256),
    (131_072, 1024),
    (131_072, 4096),
    (131_072, 32_768),
];

/// What section 12 sends.
const CONTENTS: [Content; 5] = [
    Content::Prose,
    Content::Picture,
    Content::Document,
    Content::Records,
    Content::Markup,
];

/// The offer of a client that supports everything: a server may ask it for any parameter.
const OFFER: &str = "permessage-deflate; client_no_context_takeover; client_max_window_bits";

/// What section 13 adds to that offer.
const ADDED: [&[&str]; 7] = [
    &[""],
    &["; server_no_context_takeover"],
    &["; server_max_window_bits=9"],
    &["; server_max_window_bits=15"],
    &["; server_no_context_takeover; server_max_window_bits=9"],
    &["; server_no_context_takeover; server_max_window_bits=15"],
    &[
        "; server_no_context_takeover; server_max_window_bits=9",
        "; server_no_context_takeover",
        "",
    ],
];

/// Messages of one kind and size, after one offer.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) number: String,
    content: Content,
    message_bytes: usize,
    fragment_bytes: usize,
    offers: Vec<String>,
}

pub(crate) fn cases() -> Vec<Case> {
    let by_content = CONTENTS.into_iter().zip(1..);
    let by_content = by_content.map(|(content, group)| (format!("12.{group}"), content, vec![OFFER.to_owned()]));
    let by_offer = ADDED.into_iter().zip(1..).map(|(added, group)| {
        let offers = added.iter().map(|added| format!("{OFFER}{added}")).collect();
        (format!("13.{group}"), Content::Records, offers)
    });
    let groups = by_content.chain(by_offer);
    let cases = groups.flat_map(|(group, content, offers)| {
        SIZES
            .into_iter()
            .zip(1..)
            .map(move |((message_bytes, fragment_bytes), number)| Case {
                number: format!("{group}.{number}"),
                content,
                message_bytes,
                fragment_bytes,
                offers: offers.clone(),
            })
    });
    cases.collect()
}

impl Case {
    fn name(&self) -> String {
        let Self {
            number,
            content,
            message_bytes,
            offers,
            ..
        } = self;
        format!("{number} {content:?} in messages of {message_bytes} bytes come back after {offers:?}")
    }

    fn opcode(&self) -> u8 {
        if self.content.is_text() { TEXT } else { BINARY }
    }

    /// The messages, one after the other out of the content. A text is ASCII, so that any part of it is one.
    fn messages(&self) -> Vec<Vec<u8>> {
        let count = (CASE_BYTES / self.message_bytes).clamp(*MESSAGES.start(), *MESSAGES.end());
        let messages = self.content.bytes().chunks_exact(self.message_bytes).take(count);
        messages.map(<[u8]>::to_vec).collect()
    }

    /// The field line, or lines, of the offer.
    fn field(&self) -> String {
        format!("Sec-WebSocket-Extensions: {}\r\n", self.offers.join(", "))
    }

    fn check_in_the_machine(&self, config: &DeflateConfig) -> Outcome<()> {
        let deflaters = Deflaters::new(1, 1 << 20);
        let (answer, deflate) = negotiate(&self.field(), config, &deflaters)?;
        self.check_answer(&answer, config)?;
        let mut peer = Peer::new(&answer);
        let mut echo = Echo::server(Limits::default(), Some(deflate), deflaters);
        for message in self.messages() {
            for frame in self.frames(&mut peer, &message) {
                echo.receive(&frame);
            }
            let frames = machine::frames(&std::mem::take(&mut echo.sent))?;
            let [frame] = frames.as_slice() else {
                return Err(format!("{} frames instead of one", frames.len()));
            };
            self.check_echo(&mut peer, frame, &message)?;
        }
        Ok(())
    }

    fn check_over_the_wire(&self, server: &Server) -> Outcome<()> {
        let (mut client, head) = Client::open_with(server.address(), &handshake("/ws/echo", &self.field()), &[]);
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        let answer = lines.find(|(name, _)| *name == "sec-websocket-extensions");
        let (_, answer) = answer.ok_or("no extension was agreed upon")?;
        self.check_answer(answer, &DeflateConfig::default())?;
        let mut peer = Peer::new(answer);
        for message in self.messages() {
            client.send(&self.frames(&mut peer, &message).concat());
            self.check_echo(&mut peer, &client.frame(), &message)?;
        }
        Ok(())
    }

    /// A message as frames of the client's.
    fn frames(&self, peer: &mut Peer, message: &[u8]) -> Vec<Vec<u8>> {
        let compressed = peer.deflate(message);
        let frames = fragments(RSV1 | self.opcode(), compressed.chunks(self.fragment_bytes));
        let is_marked = |frame: &Vec<u8>| frame[0] & RSV1 != 0;
        assert!(is_marked(&frames[0]) && !frames[1..].iter().any(is_marked));
        assert!(frames[1..].iter().all(|frame| frame[0] & 0x0f == CONTINUATION));
        frames
    }

    fn check_echo(&self, peer: &mut Peer, frame: &Frame, message: &[u8]) -> Outcome<()> {
        let is_compressed = frame.first & RSV1 != 0;
        ensure(frame.first & !RSV1 == FIN | self.opcode(), || {
            format!("the echo begins with {:02x}", frame.first)
        })?;
        let must_compress = self.content.is_compressible() && message.len() >= 1024;
        ensure(is_compressed || !must_compress, || {
            "the echo is not compressed".to_owned()
        })?;
        ensure(frame.payload.len() <= message.len(), || {
            "compressing made it larger".to_owned()
        })?;
        let echoed = if is_compressed {
            peer.inflate(&frame.payload)?
        } else {
            frame.payload.clone()
        };
        ensure(echoed == message, || {
            format!("{} bytes, not those that were sent", echoed.len())
        })
    }

    /// Whether the response accepts the first offer and states what the test configured on the server (§7.1).
    fn check_answer(&self, answer: &str, config: &DeflateConfig) -> Outcome<()> {
        let offer = &self.offers[0];
        let is_told = |parameter: &str| offer.contains(parameter);
        let says = |parameter: &str| answer.contains(parameter);
        let takes_over = *config == takeover();
        let no_takeover = is_told("server_no_context_takeover") || !takes_over;
        let is_right = answer.starts_with("permessage-deflate")
            && says("server_no_context_takeover") == no_takeover
            && says("client_no_context_takeover") == (is_told("client_no_context_takeover") || !takes_over)
            && says("server_max_window_bits=9") == is_told("server_max_window_bits=9")
            && says("server_max_window_bits=15") == is_told("server_max_window_bits=15");
        ensure(is_right, || format!("\"{answer}\" to \"{offer}\""))
    }
}

/// The client's zlib.
struct Peer {
    compressor: Compress,
    inflater: Decompress,
    /// The client's messages do not look back at those before.
    forgets_sent: bool,
    /// The server's do not.
    forgets_received: bool,
    /// How many bytes are inflated at once. zlib looks back through its window and through the output of one call. So
    /// less than a window finds a server that looks back too far.
    piece_bytes: usize,
}

impl Peer {
    /// A peer with the parameters of the response.
    fn new(answer: &str) -> Self {
        let is_small = answer.contains("server_max_window_bits=9");
        let server_bits = if is_small { 9 } else { 15 };
        Self {
            compressor: Compress::new_with_window_bits(Compression::new(1), false, 15),
            inflater: Decompress::new_with_window_bits(false, server_bits),
            forgets_sent: answer.contains("client_no_context_takeover"),
            forgets_received: answer.contains("server_no_context_takeover"),
            piece_bytes: if is_small { 64 } else { 4096 },
        }
    }

    fn deflate(&mut self, message: &[u8]) -> Vec<u8> {
        if self.forgets_sent {
            self.compressor.reset();
        }
        // What does not compress grows: fixed codes take up to nine bits for a byte.
        let mut output = Vec::with_capacity(message.len() / 8 * 9 + 64);
        let status = self.compressor.compress_vec(message, &mut output, FlushCompress::Sync);
        assert_eq!(status.unwrap(), Status::Ok);
        let compressed = output.strip_suffix(TAIL).expect("a flush ends like that");
        compressed.to_vec()
    }

    fn inflate(&mut self, payload: &[u8]) -> Outcome<Vec<u8>> {
        if self.forgets_received {
            self.inflater.reset(false);
        }
        let input = [payload, TAIL].concat();
        let (begun, mut output) = (self.inflater.total_in(), Vec::new());
        let mut piece = vec![0; self.piece_bytes];
        loop {
            let taken = usize::try_from(self.inflater.total_in() - begun).unwrap();
            let before = self.inflater.total_out();
            let result = self
                .inflater
                .decompress(&input[taken..], &mut piece, FlushDecompress::Sync);
            result.map_err(|error| format!("zlib: {error}"))?;
            let made = usize::try_from(self.inflater.total_out() - before).unwrap();
            output.extend_from_slice(&piece[..made]);
            if made < piece.len() {
                let taken = usize::try_from(self.inflater.total_in() - begun).unwrap();
                ensure(taken == input.len(), || "zlib stopped within the message".to_owned())?;
                return Ok(output);
            }
        }
    }
}

/// What a server with this configuration answers to a request with this field.
fn negotiate(field: &str, config: &DeflateConfig, deflaters: &Deflaters) -> Outcome<(String, Deflate)> {
    let request = handshake("/", field);
    let mut head = RequestHead::new();
    let mut connection = http1::Connection::new(http1::Limits::default().into(), moment());
    let received = connection.receive(&mut request.as_slice(), &mut head, moment());
    assert_eq!(received, Ok(http1::Event::Request));
    let mut response = ResponseHead::default();
    let server = ServerHandshake::new(&head).map_err(|error| error.to_string())?;
    let agreed = server.respond(None, Some(config), deflaters, &mut response);
    let deflate = agreed.unwrap().ok_or("no extension was agreed upon")?;
    let answer = response.headers.get(&header::SEC_WEBSOCKET_EXTENSIONS).unwrap();
    Ok((answer.to_str().unwrap().to_owned(), deflate))
}

/// The cases of one section.
fn section(number: &str) -> Vec<Case> {
    let mut cases = cases();
    cases.retain(|case| case.number.starts_with(number));
    cases
}

/// The same, by a client that keeps its context if it may.
fn section_with_takeover(number: &str) -> Vec<Case> {
    let mut cases = section(number);
    for offer in cases.iter_mut().flat_map(|case| &mut case.offers) {
        *offer = offer.replace("; client_no_context_takeover", "");
    }
    cases
}

#[test]
fn the_protocol_machine_passes_section_12_without_takeover() {
    let config = DeflateConfig::default();
    for_each_case(section("12."), Case::name, |case| case.check_in_the_machine(&config));
}

#[test]
fn the_protocol_machine_passes_section_12_with_takeover() {
    for_each_case(section_with_takeover("12."), Case::name, |case| {
        case.check_in_the_machine(&takeover())
    });
}

#[test]
fn the_protocol_machine_passes_section_13_without_takeover() {
    let config = DeflateConfig::default();
    for_each_case(section("13."), Case::name, |case| case.check_in_the_machine(&config));
}

#[test]
fn the_protocol_machine_passes_section_13_with_takeover() {
    for_each_case(section_with_takeover("13."), Case::name, |case| {
        case.check_in_the_machine(&takeover())
    });
}

/// Takeover both ways, if the client lets the server.
fn takeover() -> DeflateConfig {
    DeflateConfig::default()
        .server_context_takeover(true)
        .client_context_takeover(true)
}

#[test]
fn the_server_passes_sections_12_and_13() {
    let server = Server::shared();
    for_each_case(cases(), Case::name, |case| case.check_over_the_wire(&server));
}
