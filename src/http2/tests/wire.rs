//! Frames and header blocks as bytes, without the code of the machine.

/// A frame as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

/// The bytes of a frame.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Reads frames back.
pub(super) fn frames(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let length = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]) as usize;
        frames.push(Frame {
            kind: bytes[3],
            flags: bytes[4],
            stream: u32::from_be_bytes([bytes[5], bytes[6], bytes[7], bytes[8]]),
            payload: bytes[9..9 + length].to_vec(),
        });
        bytes = &bytes[9 + length..];
    }
    frames
}

/// A header block of literals that no table stores.
pub(super) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for string in [name, value] {
            // Strings of 127 bytes and more have a longer prefix.
            match u8::try_from(string.len()) {
                Ok(length @ ..127) => bytes.push(length),
                _ => {
                    let mut rest = string.len() - 127;
                    bytes.push(127);
                    while rest >= 128 {
                        bytes.push(0x80 | u8::try_from(rest % 128).unwrap());
                        rest /= 128;
                    }
                    bytes.push(u8::try_from(rest).unwrap());
                }
            }
            bytes.extend(string.as_bytes());
        }
    }
    bytes
}

/// HEADERS with a whole block.
pub(super) fn headers(stream: u32, ends: bool, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(1, 4 | u8::from(ends), stream, &block(fields))
}

/// The fields that every request has.
pub(super) const GET: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":authority", "a"),
    (":path", "/"),
];

/// A GET without content.
pub(super) fn get(stream: u32) -> Vec<u8> {
    headers(stream, true, &GET)
}

/// The head of a POST whose content follows.
pub(super) fn post(stream: u32) -> Vec<u8> {
    with_fields(stream, false, &[])
}

/// A POST with more fields.
pub(super) fn with_fields(stream: u32, ends: bool, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut all = GET.to_vec();
    all[0].1 = "POST";
    all.extend(fields);
    headers(stream, ends, &all)
}

pub(super) fn data(stream: u32, ends: bool, content: &[u8]) -> Vec<u8> {
    frame(0, u8::from(ends), stream, content)
}

pub(super) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(3, 0, stream, &code.to_be_bytes())
}

pub(super) fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(8, 0, stream, &increment.to_be_bytes())
}

pub(super) fn settings(entries: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (id, value) in entries {
        payload.extend(id.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    frame(4, 0, 0, &payload)
}

/// The preface, an empty SETTINGS, and the acknowledgement of the server's.
pub(super) fn first_bytes() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(settings(&[]));
    bytes.extend(frame(4, 1, 0, b""));
    bytes
}
