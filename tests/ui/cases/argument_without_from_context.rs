//! An argument that does not implement `FromContext`.

use squall::prelude::*;

struct User;

async fn show(_: &mut Context, _: User) -> &'static str {
    "user"
}

fn main() {
    let _application = Application::new().get("/", show);
}
