//! Fetches a URL with the default settings, and prints the status and the content, or the error.
//!
//! ```text
//! tls_fetch URL
//! ```

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool of tests")]

use squall::client::{Client, FetchError};
use squall::shards::Builder;

fn main() {
    let url = std::env::args().nth(1).unwrap();
    let shards = Builder::new().shards(1).stop_on_signals(false).build().unwrap();
    let ran = shards.run(move |_| {
        let url = url.clone();
        async move {
            match fetch(&url).await {
                Ok(said) => println!("{said}"),
                Err(error) => println!("{error}"),
            }
            Ok(())
        }
    });
    ran.unwrap();
}

async fn fetch(url: &str) -> Result<String, FetchError> {
    let response = Client::new().get(url).send().await?;
    let status = response.status().as_u16();
    Ok(format!("{status} {}", response.text().await?))
}
