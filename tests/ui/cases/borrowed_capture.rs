//! A closure that borrows a local variable.

use squall::prelude::*;

fn main() {
    let greeting = String::from("hello");
    let _application = Application::new().get("/", async |_: &mut Context| greeting.clone());
}
