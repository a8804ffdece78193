//! A type without `Deserialize` in `Json`.

use squall::prelude::*;

struct Order {
    count: u32,
}

async fn order(_: &mut Context, Json(order): Json<Order>) -> String {
    order.count.to_string()
}

fn main() {
    let _application = Application::new().post("/", order);
}
