//! A returned value that is not a response.

use squall::prelude::*;

struct Receipt;

async fn order(_: &mut Context, Path(_): Path<u64>) -> Result<Receipt> {
    Ok(Receipt)
}

fn main() {
    let _application = Application::new().post("/{id}", order);
}
