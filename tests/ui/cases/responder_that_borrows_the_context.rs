//! `impl Responder` of a function of the context, without `use<>`.

use squall::prelude::*;

async fn hello(_: &mut Context) -> impl Responder {
    "hello"
}

fn main() {
    let _application = Application::new().get("/", hello);
}
