//! The request parser of the floors: the length of the head, the resource, and whether the connection persists.
//!
//! It reads each field line, so that a body is not mistaken for the next request and `Connection: close` is honoured.

use std::mem::MaybeUninit;

use httparse::{Header, Status};

const FIELDS_MAX: usize = 32;

#[derive(Clone, Copy)]
pub enum Resource {
    Plaintext,
    Json,
    Missing,
}

pub enum ParseOutcome {
    /// A complete head of `head_bytes` bytes.
    Request {
        head_bytes: usize,
        resource: Resource,
        keep_alive: bool,
    },
    /// The head is incomplete.
    Incomplete,
    /// Not HTTP, or a request with content, which this server does not support.
    Refused,
}

pub fn next_request(bytes: &[u8]) -> ParseOutcome {
    let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut []);
    let head_bytes = match request.parse_with_uninit_headers(bytes, &mut fields) {
        Ok(Status::Complete(head_bytes)) => head_bytes,
        Ok(Status::Partial) => return ParseOutcome::Incomplete,
        Err(_) => return ParseOutcome::Refused,
    };
    let mut keep_alive = request.version == Some(1);
    for field in request.headers.iter() {
        // Most names differ in length, which saves the comparison.
        match field.name.len() {
            10 if field.name.eq_ignore_ascii_case("connection") => {
                keep_alive &= !field.value.eq_ignore_ascii_case(b"close");
            }
            14 if field.name.eq_ignore_ascii_case("content-length") && field.value != b"0" => {
                return ParseOutcome::Refused;
            }
            17 if field.name.eq_ignore_ascii_case("transfer-encoding") => return ParseOutcome::Refused,
            _ => {}
        }
    }
    let resource = match (request.method, request.path) {
        (Some("GET"), Some("/plaintext")) => Resource::Plaintext,
        (Some("GET"), Some("/json")) => Resource::Json,
        _ => Resource::Missing,
    };
    ParseOutcome::Request {
        head_bytes,
        resource,
        keep_alive,
    }
}
