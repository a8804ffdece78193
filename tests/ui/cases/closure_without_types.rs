//! An async closure without the type of its argument.

use squall::prelude::*;

fn main() {
    let _application = Application::new().get("/", async |cx| cx.path().to_owned());
}
