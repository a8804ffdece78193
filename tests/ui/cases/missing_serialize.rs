//! A type without `Serialize` in a returned `Json`.

use squall::prelude::*;

struct Receipt {
    #[allow(dead_code)]
    cents: u32,
}

async fn order() -> Json<Receipt> {
    Json(Receipt { cents: 1 })
}

fn main() {
    let _application = Application::new().post("/", order);
}
