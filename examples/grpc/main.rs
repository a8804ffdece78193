//! A service of gRPC by hand: a unary call, a stream of replies, and a conversation, without generated code.
//!
//! ```text
//! cargo run --release --example grpc -- --listen 127.0.0.1:50051
//! ```
//!
//! The protocol gRPC is HTTP/2 with trailers. A call is a POST to `/package.Service/Method`. Its messages are content
//! in frames of five bytes and a message. Its result is the trailer `grpc-status`.

mod call;
mod messages;

use squall::prelude::*;

use call::{Call, Status};
use messages::Text;

/// Most replies that a client may ask for.
const REPLIES_MAX: u64 = 1_000_000;

/// Greets one name.
async fn say_hello(cx: &mut Context) -> Result {
    let mut call = Call::begin(cx)?;
    let status = match call.only_message().await? {
        Ok(request) if request.text.is_empty() => Status::invalid_argument("a greeting needs a name"),
        Ok(request) => {
            let text = format!("Hello, {}!", request.text);
            call.reply(&Text { text, number: 0 });
            Status::OK
        }
        Err(status) => status,
    };
    call.end(&status)
}

/// Sends as many numbers as the request asks for, each as soon as it is there.
async fn count(cx: &mut Context) -> Result {
    let mut call = Call::begin(cx)?;
    let status = match call.only_message().await? {
        Ok(Text { number, .. }) if number > REPLIES_MAX => Status::invalid_argument("these are too many replies"),
        Ok(Text { number, .. }) => {
            for number in 1..=number {
                let text = String::new();
                call.reply(&Text { text, number });
                call.flush().await?;
            }
            Status::OK
        }
        Err(status) => status,
    };
    call.end(&status)
}

/// Answers each message while the client goes on sending.
async fn chat(cx: &mut Context) -> Result {
    let mut call = Call::begin(cx)?;
    let mut number = 0;
    let status = loop {
        match call.next_message().await? {
            Ok(Some(request)) => {
                number += 1;
                let text = request.text.to_uppercase();
                call.reply(&Text { text, number });
                call.flush().await?;
            }
            Ok(None) => break Status::OK,
            Err(status) => break status,
        }
    };
    call.end(&status)
}

fn application() -> Application {
    Application::new()
        .post("/squall.Greeter/SayHello", say_hello)
        .post("/squall.Greeter/Count", count)
        .post("/squall.Greeter/Chat", chat)
}

fn main() -> Result {
    Server::from_args(application).run()
}
