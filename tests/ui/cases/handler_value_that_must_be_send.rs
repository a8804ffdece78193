//! A library that takes `Send` futures, given one that holds an `Rc` of the shard.

use squall::prelude::*;

struct Database;

/// As `tokio::spawn` and its like.
fn spawn<F: Future<Output = ()> + Send + 'static>(_: F) {}

async fn show(State(database): State<Database>) -> &'static str {
    spawn(async move {
        std::future::ready(()).await;
        drop(database);
    });
    "spawned"
}

fn main() {
    let _application = Application::new().state(Database).get("/", show);
}
