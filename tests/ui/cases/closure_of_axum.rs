//! A closure in the style of axum.

use squall::prelude::*;

fn main() {
    let _application = Application::new().get("/", |_cx| async { "hello" });
}
