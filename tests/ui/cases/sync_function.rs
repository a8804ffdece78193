//! A function that is not async.

use squall::prelude::*;

fn hello(_: &mut Context) -> &'static str {
    "hello"
}

fn main() {
    let _application = Application::new().get("/", hello);
}
