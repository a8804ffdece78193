//! A function without the context, whose first argument does not implement `FromContext`.

use squall::prelude::*;

async fn show(id: u64) -> String {
    id.to_string()
}

fn main() {
    let _application = Application::new().get("/{id}", show);
}
