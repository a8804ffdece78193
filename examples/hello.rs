//! The smallest application: one handler, on every core.
//!
//! ```text
//! cargo run --release --example hello
//! curl -i http://127.0.0.1:8888/
//! ```

use squall::prelude::*;

struct Hello;

impl RequestHandler for Hello {
    async fn get(&self, cx: &mut Context) -> Result {
        cx.write("Hello, Squall!");
        Ok(())
    }
}

fn main() -> Result {
    Server::from_args(|| Application::new().route("/", Hello)).run()
}
