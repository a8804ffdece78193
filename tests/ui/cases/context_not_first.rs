//! The context after an argument.

use squall::prelude::*;

async fn show(Path(id): Path<u64>, cx: &mut Context) -> Result {
    cx.set_header("x-id", id)
}

fn main() {
    let _application = Application::new().get("/{id}", show);
}
