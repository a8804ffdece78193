//! The two smallest tests of the TechEmpower benchmarks.
//!
//! ```text
//! cargo run --release --example techempower -- --listen 127.0.0.1:8080
//! curl -i http://127.0.0.1:8080/plaintext
//! curl -i http://127.0.0.1:8080/json
//! ```

mod sockets;

use serde::Serialize;
use squall::prelude::*;

#[derive(Serialize)]
struct Message {
    message: &'static str,
}

async fn plaintext(_cx: &mut Context) -> &'static str {
    "Hello, World!"
}

async fn json(_cx: &mut Context) -> Json<Message> {
    Json(Message {
        message: "Hello, World!",
    })
}

fn application() -> Application {
    sockets::add_to(Application::new().get("/plaintext", plaintext).get("/json", json))
}

fn main() -> Result {
    Server::from_args(application).run()
}
