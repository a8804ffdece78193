//! What the floor needs to know of a request: where its head ends, what it asks for, and whether the connection goes on.
//!
//! Every field line is read, so that a request with a body or with `Connection: close` is not mistaken for the next one.

use std::mem::MaybeUninit;

use httparse::{Header, Status};

const FIELDS_MAX: usize = 32;

#[derive(Clone, Copy)]
pub enum Resource {
    Plaintext,
    Json,
    Missing,
}

pub enum Outcome {
    /// A whole head of this many bytes.
    Request {
        head_bytes: usize,
        resource: Resource,
        keep_alive: bool,
    },
    /// The head has not ended yet.
    Incomplete,
    /// Not HTTP, or a request with content, which this server does not read.
    Refused,
}

pub fn next_request(bytes: &[u8]) -> Outcome {
    let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut []);
    let head_bytes = match request.parse_with_uninit_headers(bytes, &mut fields) {
        Ok(Status::Complete(head_bytes)) => head_bytes,
        Ok(Status::Partial) => return Outcome::Incomplete,
        Err(_) => return Outcome::Refused,
    };
    let mut keep_alive = request.version == Some(1);
    for field in request.headers.iter() {
        // The length tells most names apart before a byte is compared.
        match field.name.len() {
            10 if field.name.eq_ignore_ascii_case("connection") => {
                keep_alive &= !field.value.eq_ignore_ascii_case(b"close");
            }
            14 if field.name.eq_ignore_ascii_case("content-length") && field.value != b"0" => return Outcome::Refused,
            17 if field.name.eq_ignore_ascii_case("transfer-encoding") => return Outcome::Refused,
            _ => {}
        }
    }
    let resource = match (request.method, request.path) {
        (Some("GET"), Some("/plaintext")) => Resource::Plaintext,
        (Some("GET"), Some("/json")) => Resource::Json,
        _ => Resource::Missing,
    };
    Outcome::Request {
        head_bytes,
        resource,
        keep_alive,
    }
}
