//! The reading half of a context.

mod arguments;
pub(in crate::app) mod body;
pub(in crate::app) mod body_state;
pub(in crate::app) mod client_address;
mod content;
pub(in crate::app) mod cookies;
pub(super) mod decompress;
mod field_path;
mod form_fields;
pub(in crate::app) mod head;
pub(in crate::app) mod json;
pub mod multipart;
pub(in crate::app) mod multipart_form;
pub(in crate::app) mod params;
pub(in crate::app) mod parts;
pub(in crate::app) mod percent;
pub(in crate::app) mod request_id;
mod tls;
pub(in crate::app) mod weight;
