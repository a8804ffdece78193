//! Pages: templates, the modules that they are made of, and the filters that read the request.
//!
//! [`Context::render`](crate::Context::render) appends a template of the crate `askama` to the response, and [`Render`]
//! is such a template as the value of a handler. `use squall::views::filters;` beside a template gives it the
//! [`filters`]:
//!
//! ```
//! use askama::Template;
//! use squall::prelude::*;
//! use squall::routing::get;
//! use squall::testing::TestClient;
//! use squall::views::{Render, filters};
//!
//! #[derive(Template)]
//! #[template(ext = "html", source = "<a href=\"{{ \"user\"|reverse_url(id) }}\">{{ name }}</a>")]
//! struct UserLink {
//!     id: u64,
//!     name: String,
//! }
//!
//! async fn user(Path(id): Path<u64>) -> Render<UserLink> {
//!     let name = "Ada & <Grace>".to_owned();
//!     Render(UserLink { id, name })
//! }
//!
//! let client = TestClient::new(|| Application::new().route("/users/{id}", get(user).name("user")))?;
//! let page = client.get("/users/7").send()?;
//! assert_eq!(page.text(), "<a href=\"/users/7\">Ada &#38; &#60;Grace&#62;</a>");
//! # Ok::<(), Error>(())
//! ```

mod fill;
#[cfg(feature = "templates")]
pub mod filters;
#[cfg(feature = "templates")]
mod linkify;
#[cfg(feature = "gettext")]
pub mod locale;
#[cfg(feature = "templates")]
mod module;
#[cfg(feature = "templates")]
mod module_value;
#[cfg(feature = "templates")]
mod page;
#[cfg(feature = "reload")]
mod reload;
#[cfg(feature = "templates")]
mod render;
#[cfg(feature = "templates")]
mod template;

pub use fill::fill;
#[cfg(feature = "templates")]
pub use linkify::Linkify;
#[cfg(feature = "templates")]
pub use module::Module;
#[cfg(feature = "templates")]
pub use module_value::{serialize_module, serialize_modules};
#[cfg(feature = "templates")]
pub use page::context;
#[cfg(feature = "templates")]
pub use template::Render;
