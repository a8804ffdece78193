//! What protects a site from other sites: CORS.

use std::time::Duration;

use squall::middleware::Cors;
use squall::prelude::*;
use squall::routing::get;

async fn cors(_: &mut Context) -> &'static str {
    "cors"
}

/// Adds the routes of this file.
pub(crate) fn add_to(application: Application) -> Application {
    let policy = Cors::new()
        .origin("https://app.example")
        .methods([Method::GET, Method::PUT])
        .headers(["Content-Type", "X-Token"])
        .credentials(true)
        .expose(["X-Total"])
        .max_age(Duration::from_secs(600));
    application.route("/cors", get(cors).put(cors).middleware(policy))
}
