//! An optional argument of a type that does not implement `OptionalFromContext`.

use squall::prelude::*;

async fn show(Path(id): Path<u64>, text: Option<String>) -> String {
    format!("{id} {text:?}")
}

fn main() {
    let _application = Application::new().post("/{id}", show);
}
