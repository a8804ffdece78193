//! Requests that two servers could read in two ways (`docs/threats.md#request-smuggling`). The server must refuse
//! them.
//!
//! Each test appends a canary, a whole request, to the bad bytes. It must never be answered, unless the bytes before
//! it were accepted as complete.

mod chunked;
mod exchange;
mod head;

use crate::harness::*;

/// A POST to `/echo` with these field lines, given without CRLF, and a body.
fn post_lines(lines: &[&[u8]], body: &[u8]) -> Vec<u8> {
    let mut fields = Vec::new();
    for line in lines {
        fields.extend_from_slice(line);
        fields.extend_from_slice(b"\r\n");
    }
    post(&fields, body)
}

/// A GET of `/` with one line after `Host`, given without CRLF.
fn get_line(line: &[u8]) -> Vec<u8> {
    get_with("/", &bytes(&[line, b"\r\n"]))
}
