//! Sessions: values that belong to one visitor and outlive a request.
//!
//! ```text
//!   cx.session() ──load──▶ Session: values, changes ──save, behind the handler──▶ cookie | memory | SessionStore
//! ```
//!
//! A session in a cookie travels with each request. Any other has an id in its cookie, and its values stay here. They
//! are in the memory of the shard that owns the id, or in a store of the application. A visitor never chooses an id.

mod cookie;
mod handle;
mod key;
mod memory;
mod sessions;
mod store;
mod values;

pub use handle::Session;
pub use key::SessionKey;
pub use sessions::Sessions;
pub use store::{SessionLifetime, SessionStore};
pub use values::{SessionChanges, SessionValues};
