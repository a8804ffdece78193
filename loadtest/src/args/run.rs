//! The flags of `run`.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::ArgPredicate;
use http::{HeaderName, HeaderValue, Method};

use crate::load::target::Target;

/// The longest window, 24 hours, as text.
const UNLIMITED: &str = "1440m";

/// Load one running server, and print its throughput and latency.
///
/// Without --rate (closed loop), each connection waits for its answer before it sends the next request: this measures
/// capacity. With --rate (open loop), requests are due at fixed moments whether or not the server keeps up. Latency
/// counts from then: this measures what users of a service see.
///
/// A ws:// URL receives messages that the server must return unchanged (echo). With --publish, each connection must
/// receive each published message exactly once and in order (fan-out), as a WebSocket (ws://) or as an event stream
/// (http://).
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// URL to request, such as http://127.0.0.1:8888/plaintext, with https:// over TLS, or to echo or subscribe at, such as
    /// ws://127.0.0.1:8888/ws/echo or, with --publish, http://127.0.0.1:8888/events
    pub(crate) url: Target,
    /// Connections over all threads [with --upload: 1]
    #[arg(
        short,
        long,
        default_value_t = 64,
        default_value_if("upload", ArgPredicate::IsPresent, "1")
    )]
    pub(crate) connections: usize,
    /// Requests in flight on each connection
    #[arg(short, long, default_value_t = 1)]
    pub(crate) pipeline: usize,
    /// Open loop: requests due per second over all connections
    #[arg(short, long)]
    pub(crate) rate: Option<f64>,
    /// Fan-out: URL to publish at, such as ws://127.0.0.1:8888/ws/pub; all connections subscribe at the other URL.
    /// --rate then counts published messages per second. Without it, the next burst follows when all subscribers have
    /// the last one
    #[arg(long, value_name = "URL", conflicts_with_all = ["pipeline", "churn", "hold"])]
    pub(crate) publish: Option<Target>,
    /// Fan-out: messages published at once; the rate stays the same
    #[arg(long, default_value_t = 1, requires = "publish")]
    pub(crate) burst: usize,
    /// Fan-out: further subscribers that do not read in the timed window and read the backlog after it
    #[arg(long, default_value_t = 0, requires = "publish")]
    pub(crate) stalled: usize,
    /// Fan-out: path on the server that returns JSON with the number of messages its subscribers `missed`
    #[arg(long, value_name = "PATH", requires = "publish")]
    pub(crate) statistics: Option<String>,
    /// Fan-out: cores to connect from, round-robin and separated by commas, the publisher from the first; prints
    /// latencies for each
    #[arg(long, value_delimiter = ',', requires = "publish")]
    pub(crate) connect_cores: Vec<usize>,
    /// WebSocket: length of a message in bytes; 16 or more for fan-out, 32 or more to event streams
    #[arg(long, default_value_t = 64)]
    pub(crate) message_bytes: usize,
    /// WebSocket: offer permessage-deflate without context takeover, and fail if the server declines it
    #[arg(long, conflicts_with = "publish")]
    pub(crate) deflate: bool,
    /// Open a new connection for every request; latency includes connecting
    #[arg(long, conflicts_with_all = ["rate", "pipeline"])]
    pub(crate) churn: bool,
    /// Make one request or WebSocket handshake on each connection, keep all silent, and count those still open at the
    /// end
    #[arg(long, conflicts_with_all = ["rate", "pipeline", "churn"])]
    pub(crate) hold: bool,
    /// HTTP: further connections that never finish a request head; half stay silent, half send a byte every 9 seconds
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) slow_heads: usize,
    /// HTTPS: further clients that complete a handshake and close, again and again, with a lower priority than the load
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) handshakes: usize,
    /// Length of the timed window, such as 10s, 500ms or 2m [with --requests: unlimited unless given]
    #[arg(
        short,
        long,
        default_value = "10s",
        default_value_if("requests", ArgPredicate::IsPresent, UNLIMITED),
        value_parser = duration
    )]
    pub(crate) duration: Duration,
    /// End the window when this many requests have been answered or have failed, or after --duration
    #[arg(
        short = 'n',
        long,
        value_name = "REQUESTS",
        conflicts_with_all = ["publish", "hold"],
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub(crate) requests: Option<u64>,
    /// Length of the load before the window; no figure includes it [with --requests or --upload: none unless given]
    #[arg(
        short,
        long,
        default_value = "1s",
        default_value_ifs([
            ("requests", ArgPredicate::IsPresent, "0s"),
            ("upload", ArgPredicate::IsPresent, "0s"),
        ]),
        value_parser = duration
    )]
    pub(crate) warmup: Duration,
    /// The longest time for a connection to open, and for an answer
    #[arg(long, default_value = "5s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Threads [default: one for each of --cores, or 1]
    #[arg(short, long)]
    pub(crate) threads: Option<usize>,
    /// Cores to pin the threads to, round-robin and separated by commas
    #[arg(long, value_delimiter = ',')]
    pub(crate) cores: Vec<usize>,
    /// Method of the request [with --upload: POST unless given]
    #[arg(
        short = 'X',
        long,
        default_value = "GET",
        default_value_if("upload", ArgPredicate::IsPresent, "POST")
    )]
    pub(crate) method: Method,
    /// A field of the request, such as 'Accept: text/html'; repeatable
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Body of the request
    #[arg(long)]
    pub(crate) body: Option<String>,
    /// File with the body of the request
    #[arg(long, value_name = "FILE", conflicts_with = "body")]
    pub(crate) body_file: Option<PathBuf>,
    /// Upload: POST a content of this many bytes, made as it is sent, one request after another on one connection
    #[arg(
        long,
        value_name = "BYTES",
        conflicts_with_all = ["publish", "hold", "churn", "rate", "pipeline", "body", "body_file"]
    )]
    pub(crate) upload: Option<u64>,
    /// Expected status of each answer
    #[arg(long, value_name = "STATUS", default_value_t = 200, value_parser = clap::value_parser!(u16).range(200..=599))]
    pub(crate) expect_status: u16,
    /// Expected body of each answer, whole [default: any]
    #[arg(long, value_name = "BODY")]
    pub(crate) expect_body: Option<String>,
    /// Expected body of each answer: the filling of this length, which the files and uploads of `compare` have
    #[arg(long, value_name = "BYTES", conflicts_with = "expect_body")]
    pub(crate) expect_filling: Option<u64>,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Parses a duration such as `10`, `10s`, `1.5s`, `500ms` or `2m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let end = text
        .find(|letter: char| letter.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let seconds = match unit {
        "ms" => Some(0.001),
        "" | "s" => Some(1.0),
        "m" => Some(60.0),
        _ => None,
    };
    // `f64` also parses `-0`, `inf` and exponents, which this flag rejects.
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: Option<f64> = number.parse().ok().filter(|_| is_plain);
    let length = number
        .zip(seconds)
        .map(|(number, unit)| Duration::try_from_secs_f64(number * unit));
    match length {
        Some(Ok(length)) => Ok(length),
        Some(Err(_)) => Err("the length of time is too long".to_owned()),
        None => Err("expected a length of time such as 10s, 500ms or 2m".to_owned()),
    }
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("expected a name, a colon and a value")?;
    let name = name.parse().map_err(|_| format!("`{name}` is not a field name"))?;
    let value = value
        .trim()
        .parse()
        .map_err(|_| format!("`{value}` is not a field value"))?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};
    use crate::load::plan::DURATION_MAX;

    #[test]
    fn durations_are_parsed() {
        for (text, milliseconds) in [
            ("10", 10_000),
            ("10s", 10_000),
            ("1.5s", 1_500),
            ("500ms", 500),
            ("2m", 120_000),
            ("0", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for refused in [
            "",
            "s",
            "-1s",
            "1h",
            "1e3",
            "1 s",
            "ten",
            "inf",
            "99999999999999999999s",
        ] {
            assert!(duration(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn number_of_requests_replaces_the_default_window_and_warm_up() {
        for (arguments, lengths) in [
            ("", [10, 1]),
            ("-n 5", [86_400, 0]),
            ("-n 5 -d 3s", [3, 0]),
            ("-n 5 -w 2s", [86_400, 2]),
        ] {
            let words = format!("squall-loadtest run http://h/ {arguments}");
            let args = Args::try_parse_from(words.split_ascii_whitespace()).unwrap();
            let Command::Run(args) = args.command else {
                panic!("{args:?}")
            };
            let expected = lengths.map(Duration::from_secs);
            assert_eq!([args.duration, args.warmup], expected, "{arguments}");
        }
        assert_eq!(duration(UNLIMITED), Ok(DURATION_MAX));
    }

    #[test]
    fn header_is_parsed_as_name_and_value() {
        assert_eq!(
            header("Accept:  a: b "),
            Ok((HeaderName::from_static("accept"), HeaderValue::from_static("a: b")))
        );
        for refused in ["Accept", "Acc ept: x", ": x", "a: b\nc"] {
            assert!(header(refused).is_err(), "{refused}");
        }
    }
}
