//! A `RequestHandler` given to `get`.

use squall::prelude::*;

struct Hello;

impl RequestHandler for Hello {
    async fn get(&self, cx: &mut Context) -> Result {
        cx.write("hello");
        Ok(())
    }
}

fn main() {
    let _application = Application::new().get("/", Hello);
}
