//! The reading half of a context.

pub(in crate::app) mod body;
pub(in crate::app) mod body_state;
pub(in crate::app) mod client_address;
pub(in crate::app) mod cookies;
mod field_path;
pub(in crate::app) mod head;
pub(in crate::app) mod json;
pub mod multipart;
pub(in crate::app) mod params;
pub(in crate::app) mod percent;
