//! Negotiation of permessage-deflate (RFC 7692 §5, §7.1): a client's offer, the server's choice and answer, and the
//! client's check of it.
//!
//! A server declines an offer that is invalid or unsupported and looks at the next; without one, the connection is not
//! compressed. A client fails the connection for an invalid answer.

use core::fmt::Write;

use super::deflate::Deflaters;
use super::encoding::Encoding;
use super::extensions::Extension;
use super::window::SlidingWindow;
use super::window_bits::WindowBits;
use crate::settings::settings;

/// The registered name of the extension.
const NAME: &str = "permessage-deflate";

settings! {
    /// How one end uses permessage-deflate, in the RFC's words: *server* and *client* is the end that compresses.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct DeflateConfig {
        /// Sets whether the server's messages may refer to earlier ones.
        ///
        /// Off: similar small messages compress several times worse, but an idle connection costs nothing.
        server_context_takeover: bool = false,
        /// Sets whether the client's messages may refer to earlier ones.
        ///
        /// Off, likewise.
        client_context_takeover: bool = false,
        /// Sets the largest window of the server's compressor.
        ///
        /// 15: within a message it costs a connection nothing.
        server_max_window_bits: WindowBits = WindowBits::MAX,
        /// Sets the largest window of the client's compressor, if the client accepts a bound.
        ///
        /// The default is 15.
        client_max_window_bits: WindowBits = WindowBits::MAX,
        /// Sets the smallest payload that is compressed, in bytes.
        ///
        /// 64: below it, deflate saves less than its time is worth.
        min_compressed_bytes: usize = 64,
    }
}

/// The negotiated compression of one connection.
#[derive(Debug)]
pub struct Deflate {
    pub(super) encoding: Encoding,
    windows: Option<Box<SlidingWindows>>,
}

#[derive(Debug)]
struct SlidingWindows {
    sending: Option<SlidingWindow>,
    receiving: Option<SlidingWindow>,
}

/// The error of an answer that does not fit the offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unacceptable;

impl Deflate {
    fn new(encoding: Encoding, sending: Option<SlidingWindow>, receiving: Option<SlidingWindow>) -> Self {
        let is_needed = sending.is_some() || receiving.is_some();
        let windows = is_needed.then(|| Box::new(SlidingWindows { sending, receiving }));
        Self { encoding, windows }
    }

    pub(super) fn sending(&mut self) -> Option<&mut SlidingWindow> {
        self.windows.as_mut()?.sending.as_mut()
    }

    pub(super) fn receiving(&mut self) -> Option<&mut SlidingWindow> {
        self.windows.as_mut()?.receiving.as_mut()
    }
}

impl DeflateConfig {
    /// Takes the first acceptable offer; returns the answer.
    pub(super) fn accept(&self, offers: &[Extension<'_>], deflaters: &Deflaters) -> Option<(String, Deflate)> {
        offers.iter().find_map(|offer| self.accept_one(offer, deflaters))
    }

    /// Returns a client's offer.
    pub(super) fn offer(&self) -> String {
        let mut offer = NAME.to_owned();
        if !self.server_context_takeover {
            offer.push_str("; server_no_context_takeover");
        }
        if !self.client_context_takeover {
            offer.push_str("; client_no_context_takeover");
        }
        if self.server_max_window_bits < WindowBits::MAX {
            push_bits(&mut offer, "server_max_window_bits", self.server_max_window_bits.bits());
        }
        if self.client_max_window_bits < WindowBits::MAX {
            push_bits(&mut offer, "client_max_window_bits", self.client_max_window_bits.bits());
        } else {
            offer.push_str("; client_max_window_bits");
        }
        offer
    }

    /// Checks the server's answer to [`offer`](Self::offer).
    pub(super) fn confirm(&self, answer: &Extension<'_>, deflaters: &Deflaters) -> Result<Deflate, Unacceptable> {
        let parameters = Parameters::parse(answer).ok_or(Unacceptable)?;
        let server_window = match parameters.server_bits {
            Some(bits) if bits <= self.server_max_window_bits.bits() => {
                WindowBits::new(bits).unwrap_or(WindowBits::MIN)
            }
            None if self.server_max_window_bits == WindowBits::MAX => WindowBits::MAX,
            _ => return Err(Unacceptable),
        };
        let client_bits = match parameters.client_bits {
            None => self.client_max_window_bits.bits(),
            Some(Some(bits)) if bits <= self.client_max_window_bits.bits() => bits,
            Some(_) => return Err(Unacceptable),
        };
        if !self.server_context_takeover && !parameters.server_no_context_takeover {
            return Err(Unacceptable);
        }
        let receiving = if parameters.server_no_context_takeover {
            None
        } else {
            Some(deflaters.lend_window(server_window).ok_or(Unacceptable)?)
        };
        // zlib has no window of 8 bits for raw deflate, so this client sends plain messages only.
        let Some(window) = WindowBits::new(client_bits) else {
            return Ok(Deflate::new(Encoding::Plain, None, receiving));
        };
        let takes_over = self.client_context_takeover && !parameters.client_no_context_takeover;
        let sending = takes_over.then(|| deflaters.lend_window(window)).flatten();
        Ok(Deflate::new(self.encoding(window), sending, receiving))
    }

    fn accept_one(&self, offer: &Extension<'_>, deflaters: &Deflaters) -> Option<(String, Deflate)> {
        let parameters = Parameters::parse(offer)?;
        let offered_bits = parameters.server_bits.unwrap_or(WindowBits::MAX.bits());
        let window = WindowBits::new(offered_bits)?.min(self.server_max_window_bits);
        let takes_over = self.server_context_takeover && !parameters.server_no_context_takeover;
        let sending = takes_over.then(|| deflaters.lend_window(window)).flatten();

        // The upper bound of the client's window, whether the answer names it or not.
        let client_bits = match parameters.client_bits {
            None => WindowBits::MAX.bits(),
            Some(hint) => hint
                .unwrap_or(WindowBits::MAX.bits())
                .min(self.client_max_window_bits.bits()),
        };
        let client_window = WindowBits::new(client_bits).unwrap_or(WindowBits::MIN);
        let takes_over = self.client_context_takeover && !parameters.client_no_context_takeover;
        let receiving = takes_over.then(|| deflaters.lend_window(client_window)).flatten();

        let mut answer = NAME.to_owned();
        if sending.is_none() {
            answer.push_str("; server_no_context_takeover");
        }
        if receiving.is_none() {
            answer.push_str("; client_no_context_takeover");
        }
        if parameters.server_bits.is_some() || window < WindowBits::MAX {
            push_bits(&mut answer, "server_max_window_bits", window.bits());
        }
        let is_hinted = parameters.client_bits.flatten().is_some();
        if is_hinted || client_bits < WindowBits::MAX.bits() {
            push_bits(&mut answer, "client_max_window_bits", client_bits);
        }
        Some((answer, Deflate::new(self.encoding(window), sending, receiving)))
    }

    fn encoding(&self, window: WindowBits) -> Encoding {
        Encoding::Deflated {
            window,
            min_compressed_bytes: self.min_compressed_bytes,
        }
    }
}

/// The parameters of an offer or an answer (RFC 7692 §7.1).
#[derive(Debug, Default)]
struct Parameters {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_bits: Option<u8>,
    /// Only an offer may leave out the value.
    client_bits: Option<Option<u8>>,
}

impl Parameters {
    /// Reads them; `None` for another extension, an unknown or repeated parameter, or a value that is missing,
    /// unexpected or invalid.
    fn parse(extension: &Extension<'_>) -> Option<Self> {
        if !extension.name.eq_ignore_ascii_case(NAME) {
            return None;
        }
        let mut parameters = Self::default();
        for parameter in &extension.parameters {
            let is_new = match (parameter.name, parameter.value.as_deref()) {
                ("server_no_context_takeover", None) => set(&mut parameters.server_no_context_takeover),
                ("client_no_context_takeover", None) => set(&mut parameters.client_no_context_takeover),
                ("server_max_window_bits", Some(value)) => parameters.server_bits.replace(bits(value)?).is_none(),
                ("client_max_window_bits", None) => parameters.client_bits.replace(None).is_none(),
                ("client_max_window_bits", Some(value)) => parameters.client_bits.replace(Some(bits(value)?)).is_none(),
                _ => false,
            };
            if !is_new {
                return None;
            }
        }
        Some(parameters)
    }
}

/// Sets a flag; returns whether it was unset.
fn set(flag: &mut bool) -> bool {
    !core::mem::replace(flag, true)
}

/// Reads a number from 8 to 15, without leading zeros.
fn bits(value: &str) -> Option<u8> {
    match value.as_bytes() {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

fn push_bits(text: &mut String, name: &str, bits: u8) {
    let written = write!(text, "; {name}={bits}");
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
}
