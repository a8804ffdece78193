//! A second reader of requests, written from RFC 9112 for clarity alone. It needs the whole input, copies everything,
//! and shares no line with the machine.
//!
//! It accepts what the RFC accepts, without limits. The machine may reject more, but must read what it accepts as this
//! reader does.

/// The first request of some bytes, received completely.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Reference {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) is_http_1_0: bool,
    pub(super) fields: Vec<(String, Vec<u8>)>,
    pub(super) content: Vec<u8>,
    pub(super) trailers: Vec<(String, Vec<u8>)>,
    pub(super) consumed: usize,
}

/// Reads the first request; `None` if it is malformed or incomplete.
pub(super) fn read(bytes: &[u8]) -> Option<Reference> {
    let skipped = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
    let bytes = &bytes[skipped..];
    let head_end = find(bytes, b"\r\n\r\n")?;
    let mut lines = split(&bytes[..head_end], b"\r\n").into_iter();
    let mut request = request_line(&lines.next()?)?;
    for line in lines {
        request.fields.push(field_line(&line)?);
    }
    let hosts = values(&request, "host");
    if hosts.len() > 1 || (hosts.is_empty() && !request.is_http_1_0) {
        return None;
    }
    let body = &bytes[head_end + 4..];
    let body_bytes = match (
        values(&request, "transfer-encoding").as_slice(),
        values(&request, "content-length").as_slice(),
    ) {
        ([], []) => 0,
        ([], [length]) => {
            if length.is_empty() || !length.iter().all(u8::is_ascii_digit) {
                return None;
            }
            let length: usize = String::from_utf8(length.clone()).ok()?.parse().ok()?;
            request.content = body.get(..length)?.to_vec();
            length
        }
        ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") && !request.is_http_1_0 => {
            chunks(body, &mut request)?
        }
        _ => return None,
    };
    request.consumed = skipped + head_end + 4 + body_bytes;
    Some(request)
}

fn request_line(line: &[u8]) -> Option<Reference> {
    let [method, target, version] = <[Vec<u8>; 3]>::try_from(split(line, b" ")).ok()?;
    if !is_token(&method) || target.is_empty() {
        return None;
    }
    if target.iter().any(|byte| !(0x21..=0x7e).contains(byte) || *byte == b'#') {
        return None;
    }
    let minor = version.strip_prefix(b"HTTP/1.")?;
    if minor.len() != 1 || !minor[0].is_ascii_digit() {
        return None;
    }
    Some(Reference {
        method: String::from_utf8(method).ok()?,
        target: String::from_utf8(target).ok()?,
        is_http_1_0: minor == b"0",
        ..Reference::default()
    })
}

fn field_line(line: &[u8]) -> Option<(String, Vec<u8>)> {
    let colon = find(line, b":")?;
    let (name, value) = (line[..colon].to_ascii_lowercase(), &line[colon + 1..]);
    if !is_token(&name) || value.iter().any(|&byte| byte != 9 && (byte < 32 || byte == 127)) {
        return None;
    }
    let mut value = value.to_vec();
    while value.last().is_some_and(|byte| [9, 32].contains(byte)) {
        value.pop();
    }
    while value.first().is_some_and(|byte| [9, 32].contains(byte)) {
        value.remove(0);
    }
    Some((String::from_utf8(name).ok()?, value))
}

/// Decodes chunks into `request`; returns how many bytes they took.
fn chunks(body: &[u8], request: &mut Reference) -> Option<usize> {
    let mut at = 0;
    loop {
        let line_bytes = find(&body[at..], b"\r\n")?;
        let line = &body[at..at + line_bytes];
        at += line_bytes + 2;
        if line.iter().any(|&byte| byte != 9 && (byte < 32 || byte == 127)) {
            return None;
        }
        let size: Vec<u8> = line.iter().copied().take_while(u8::is_ascii_hexdigit).collect();
        let extension: Vec<u8> = line[size.len()..]
            .iter()
            .copied()
            .skip_while(|byte| [9, 32].contains(byte))
            .collect();
        let is_extension = extension.first() == Some(&b';');
        if !is_extension && line.len() != size.len() {
            return None;
        }
        let size = usize::from_str_radix(str::from_utf8(&size).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        request.content.extend_from_slice(body.get(at..at.checked_add(size)?)?);
        at += size;
        if body.get(at..at + 2)? != b"\r\n" {
            return None;
        }
        at += 2;
    }
    loop {
        let line_bytes = find(&body[at..], b"\r\n")?;
        let line = &body[at..at + line_bytes];
        at += line_bytes + 2;
        if line.is_empty() {
            return Some(at);
        }
        request.trailers.push(field_line(line)?);
    }
}

fn values(request: &Reference, name: &str) -> Vec<Vec<u8>> {
    let fields = request.fields.iter().filter(|field| field.0 == name);
    fields.map(|field| field.1.clone()).collect()
}

fn is_token(bytes: &[u8]) -> bool {
    let is_separator = |byte: u8| "()<>@,;:\\\"/[]?={} \t".contains(char::from(byte));
    !bytes.is_empty()
        && bytes
            .iter()
            .all(|&byte| (33..127).contains(&byte) && !is_separator(byte))
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

fn split(bytes: &[u8], separator: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    let mut rest = bytes;
    while let Some(at) = find(rest, separator) {
        parts.push(rest[..at].to_vec());
        rest = &rest[at + separator.len()..];
    }
    parts.push(rest.to_vec());
    parts
}
