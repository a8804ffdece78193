//! The command line of an application (Tornado's `options`): every setting of a [`ServerConfig`] as a flag.
//!
//! `--help` reads its defaults from the configuration's own `Default`, so the two cannot differ.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::Write as _;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, ValueEnum};
use squall_shards::{Driver, StandardError};

use super::quantity::{Time, bytes};
use super::{ListenAddress, ServerConfig};
use crate::app::TrustedProxies;
use crate::http1::Limits;
use crate::pubsub::{self, LogLimits, TopicRules};
use crate::server::memory::watermarks::MemoryWatermarks;
use crate::server::operator_log;
use crate::websocket;

/// The listen address without `--listen`: Tornado's port.
const LISTEN_DEFAULT: &str = "127.0.0.1:8888";

/// Reads the command line of this process and starts logging to standard error.
///
/// Ends the process on `--help` and on invalid arguments.
pub(in crate::server) fn from_command_line() -> ServerConfig {
    let mut command = Options::command();
    let matches = command.get_matches_mut();
    let options = Options::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command).exit());
    options.logging.start();
    let config = options.into_config();
    if let Err(invalid) = config.check() {
        command.error(ErrorKind::ValueValidation, invalid).exit();
    }
    config
}

#[derive(Debug, Parser)]
#[command(
    about = "A Squall application. A time is a number of seconds, or a number with a unit: 0.5, 250ms, 50us, 2m. \
             BYTES may have a unit too: 65536, 64K, 10M, 1G.",
    version = concat!("(Squall ", env!("CARGO_PKG_VERSION"), ")")
)]
#[command(long_about = None, max_term_width = 110)]
struct Options {
    #[command(flatten)]
    server: ServerOptions,
    #[command(flatten)]
    request: RequestOptions,
    #[command(flatten)]
    real_time: RealTimeOptions,
    #[command(flatten)]
    pace: PaceOptions,
    /// Logs lines of this level and above to standard error; none logs nothing
    #[arg(long, value_enum, default_value_t = Logging::Info, value_name = "LEVEL", help_heading = "Log")]
    logging: Logging,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
struct ServerOptions {
    /// Listens on this address: 127.0.0.1:8888, :8888, [::]:8888, unix:/path or systemd; repeat the flag to add
    /// addresses
    #[arg(long, value_name = "ADDR", default_value = LISTEN_DEFAULT)]
    listen: Vec<ListenAddress>,
    /// Starts this many shards [default: one for each core this process may use]
    #[arg(long, value_name = "N")]
    shards: Option<usize>,
    /// Drives the sockets with io_uring or epoll; auto uses epoll where the kernel refuses io_uring
    #[arg(long, value_name = "NAME", default_value_t = Driver::Auto)]
    driver: Driver,
    /// Polls for this long before a shard sleeps; 50us halves the latency of a lightly loaded server and keeps its
    /// cores busy
    #[arg(long, value_name = "TIME", default_value_t)]
    spin: Time,
    /// Assigns each new connection to the shard of the CPU that received it [default: off, the kernel's hash decides]
    #[arg(long)]
    steer_by_cpu: bool,
    /// Leads new connections away from a shard that has at least 512 and a third more than its share [default: off]
    #[arg(long)]
    balance: bool,
    /// Lets another process listen on the same TCP address, for a rolling restart [default: off]
    #[arg(long)]
    share_port: bool,
    /// Most open connections for each shard; further ones wait in the kernel's backlog
    #[arg(long, value_name = "N", default_value_t = ServerConfig::default().connections_per_shard_max)]
    max_connections: usize,
    /// Most bytes of memory the process may hold; limits of control groups apply as well [default: the machine's
    /// memory]
    #[arg(long, value_name = "BYTES", value_parser = bytes::<u64>)]
    max_memory_bytes: Option<u64>,
    /// Percentages of that memory at which a shard closes idle connections early, closes connections after a response,
    /// answers 503, and refuses memory
    #[arg(long, value_name = "LIST", default_value_t = MemoryWatermarks::default())]
    memory_watermarks: MemoryWatermarks,
    /// Most unsent bytes the kernel buffers for each TCP connection; further output waits in the server
    #[arg(long, value_name = "BYTES", value_parser = bytes::<u32>, default_value_t = ServerConfig::default().unsent_bytes_max)]
    max_unsent_bytes: u32,
    /// Longest wait for open connections at a graceful stop (SIGTERM, SIGINT); then the server aborts them
    #[arg(long, value_name = "TIME", default_value_t = Time(ServerConfig::default().shutdown_timeout))]
    shutdown_timeout: Time,
    /// Trusts X-Real-Ip, X-Forwarded-For, X-Scheme and X-Forwarded-Proto from these addresses, networks or unix,
    /// separated by commas [default: none]
    #[arg(long, value_name = "LIST")]
    trusted_proxies: Option<TrustedProxies>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Size limits of requests")]
struct RequestOptions {
    /// Most bytes of content in a request; more are answered 413 [default: the application's limit, else 1048576]
    #[arg(long, value_name = "BYTES", value_parser = bytes::<u64>)]
    max_body_bytes: Option<u64>,
    /// Most parameters in a query, and in a form; more are answered 400 [default: the application's limit, else 1000]
    #[arg(long, value_name = "N")]
    max_parameters: Option<usize>,
    /// Most levels of nested JSON, up to 256; more are answered 400 [default: the application's limit, else 128]
    #[arg(long, value_name = "LEVELS")]
    max_json_depth: Option<usize>,
    /// Most cookies in a request; more are answered 431 [default: the application's limit, else 100]
    #[arg(long, value_name = "N")]
    max_cookies: Option<usize>,
    /// Most bytes in a request head; more are answered 431
    #[arg(long, value_name = "BYTES", value_parser = bytes::<usize>, default_value_t = Limits::default().header_bytes_max)]
    max_header_bytes: usize,
    /// Most field lines in a request head; more are answered 431
    #[arg(long, value_name = "N", default_value_t = Limits::default().header_count_max)]
    max_header_count: usize,
    /// Most bytes in a field name; more are answered 431
    #[arg(long, value_name = "BYTES", value_parser = bytes::<usize>, default_value_t = Limits::default().header_name_bytes_max)]
    max_header_name_bytes: usize,
    /// Most bytes in a request-target; more are answered 414
    #[arg(long, value_name = "BYTES", value_parser = bytes::<usize>, default_value_t = Limits::default().target_bytes_max)]
    max_target_bytes: usize,
    /// Most bytes of chunk extensions in a request; more are answered 400
    #[arg(long, value_name = "BYTES", value_parser = bytes::<usize>, default_value_t = Limits::default().chunk_extension_bytes_max)]
    max_chunk_extension_bytes: usize,
    /// Most bytes in a trailer section; more are answered 431
    #[arg(long, value_name = "BYTES", value_parser = bytes::<usize>, default_value_t = Limits::default().trailer_bytes_max)]
    max_trailer_bytes: usize,
    /// Most trailer fields in a request; more are answered 431
    #[arg(long, value_name = "N", default_value_t = Limits::default().trailer_count_max)]
    max_trailer_count: usize,
    /// Most bytes of unread content discarded to keep a connection open; beyond them the connection closes
    #[arg(long, value_name = "BYTES", value_parser = bytes::<u64>, default_value_t = Limits::default().drain_bytes_max)]
    max_drain_bytes: u64,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "WebSockets and topics")]
struct RealTimeOptions {
    /// Most bytes in a WebSocket message; more close the socket with 1009
    #[arg(long, value_name = "BYTES", value_parser = bytes::<usize>, default_value_t = websocket::Limits::default().message_bytes_max)]
    max_message_bytes: usize,
    /// Most fragments in a WebSocket message; more close the socket with 1008
    #[arg(long, value_name = "N", default_value_t = websocket::Limits::default().fragments_max)]
    max_fragments: u32,
    /// Pings a WebSocket peer that has been silent for this long; 0 turns pings off
    #[arg(long, value_name = "TIME", default_value_t = Time(websocket::Limits::default().ping_interval.unwrap_or_default()))]
    ping_interval: Time,
    /// Closes a WebSocket whose peer stays silent for this long after a ping
    #[arg(long, value_name = "TIME", default_value_t = Time(websocket::Limits::default().ping_timeout))]
    ping_timeout: Time,
    /// Most topics and patterns for each subscriber; further subscriptions fail
    #[arg(long, value_name = "N", default_value_t = pubsub::Limits::default().subscriptions_max)]
    max_subscriptions: usize,
    /// Most bytes queued for each subscriber; beyond them its topics' slow-consumer policies apply
    #[arg(long, value_name = "BYTES", value_parser = bytes::<usize>, default_value_t = pubsub::Limits::default().queue_bytes_high)]
    max_queue_bytes: usize,
    /// Bytes to which a slow-consumer policy shortens a queue; at this size the subscriber counts as caught up
    #[arg(long, value_name = "BYTES", value_parser = bytes::<usize>, default_value_t = pubsub::Limits::default().queue_bytes_low)]
    low_queue_bytes: usize,
    /// Most bytes queued for all subscribers of a shard; beyond them the shard queues no message
    #[arg(long, value_name = "BYTES", value_parser = bytes::<usize>, default_value_t = pubsub::Limits::default().shard_bytes_max)]
    max_shard_queue_bytes: usize,
    /// Most bytes of topic history for each shard; beyond them the shard drops the oldest messages
    #[arg(long, value_name = "BYTES", value_parser = bytes::<usize>, default_value_t = LogLimits::default().bytes_max)]
    max_history_bytes: usize,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Timeouts and minimum rates")]
struct PaceOptions {
    /// Longest time from the first byte of a request head to its last; then the answer is 408
    #[arg(long, value_name = "TIME", default_value_t = Time(Limits::default().header_timeout))]
    header_timeout: Time,
    /// Longest time from accepting a connection to its first byte; then it closes [default: as --header-timeout]
    #[arg(long, value_name = "TIME")]
    first_byte_timeout: Option<Time>,
    /// Longest time from a response to the first byte of the next request; then the connection closes
    #[arg(long, value_name = "TIME", default_value_t = Time(Limits::default().idle_timeout))]
    idle_timeout: Time,
    /// Longest pause in content that a handler reads; then the answer is 408
    #[arg(long, value_name = "TIME", default_value_t = Time(Limits::default().body_gap_timeout))]
    body_timeout: Time,
    /// Fewest bytes per second of content that a handler reads; below them the answer is 408, and 0 turns this off
    #[arg(long, value_name = "BYTES", value_parser = bytes::<u64>, default_value_t = Limits::default().body_bytes_per_second_min)]
    min_body_rate: u64,
    /// Time to read content before --min-body-rate applies
    #[arg(long, value_name = "TIME", default_value_t = Time(Limits::default().body_rate_grace))]
    body_rate_grace: Time,
    /// Longest time to discard unread content; then the connection closes
    #[arg(long, value_name = "TIME", default_value_t = Time(Limits::default().drain_timeout))]
    drain_timeout: Time,
    /// Longest time a peer may accept nothing of a response; then the server aborts the connection
    #[arg(long, value_name = "TIME", default_value_t = Time(ServerConfig::default().write_stall_timeout))]
    write_timeout: Time,
    /// Fewest bytes per second a peer may accept of a response; below them the server aborts, and 0 turns this off
    #[arg(long, value_name = "BYTES", value_parser = bytes::<u64>, default_value_t = ServerConfig::default().write_bytes_per_second_min)]
    min_write_rate: u64,
    /// Time to send a response before --min-write-rate applies
    #[arg(long, value_name = "TIME", default_value_t = Time(ServerConfig::default().write_rate_grace))]
    write_rate_grace: Time,
    /// Longest time to read from a closing connection, so that the peer can receive the last response
    #[arg(long, value_name = "TIME", default_value_t = Time(ServerConfig::default().linger_timeout))]
    linger_timeout: Time,
}

impl Options {
    fn into_config(self) -> ServerConfig {
        let Self {
            server,
            request,
            real_time,
            pace,
            logging: _,
        } = self;
        ServerConfig {
            listen: server.listen,
            shards: server.shards,
            driver: server.driver,
            spin: server.spin.0,
            steer_by_cpu: server.steer_by_cpu,
            balance: server.balance,
            share_port: server.share_port,
            http1: limits(&request, &pace),
            websocket: websocket::Limits {
                message_bytes_max: real_time.max_message_bytes,
                fragments_max: real_time.max_fragments,
                ping_interval: Some(real_time.ping_interval.0).filter(|interval| !interval.is_zero()),
                ping_timeout: real_time.ping_timeout.0,
                ..websocket::Limits::default()
            },
            topics: TopicRules::default(),
            pubsub: pubsub::Limits {
                subscriptions_max: real_time.max_subscriptions,
                queue_bytes_high: real_time.max_queue_bytes,
                queue_bytes_low: real_time.low_queue_bytes,
                shard_bytes_max: real_time.max_shard_queue_bytes,
                ..pubsub::Limits::default()
            },
            histories: LogLimits {
                bytes_max: real_time.max_history_bytes,
                ..LogLimits::default()
            },
            body_bytes_max: request.max_body_bytes,
            parameter_count_max: request.max_parameters,
            json_depth_max: request.max_json_depth,
            cookie_count_max: request.max_cookies,
            write_stall_timeout: pace.write_timeout.0,
            write_bytes_per_second_min: pace.min_write_rate,
            write_rate_grace: pace.write_rate_grace.0,
            linger_timeout: pace.linger_timeout.0,
            shutdown_timeout: server.shutdown_timeout.0,
            stop_on_signals: true,
            connections_per_shard_max: server.max_connections,
            memory_bytes_max: server.max_memory_bytes,
            memory_watermarks: server.memory_watermarks,
            unsent_bytes_max: server.max_unsent_bytes,
            trusted_proxies: server.trusted_proxies,
        }
    }
}

fn limits(request: &RequestOptions, pace: &PaceOptions) -> Limits {
    Limits {
        target_bytes_max: request.max_target_bytes,
        header_bytes_max: request.max_header_bytes,
        header_count_max: request.max_header_count,
        header_name_bytes_max: request.max_header_name_bytes,
        chunk_extension_bytes_max: request.max_chunk_extension_bytes,
        trailer_bytes_max: request.max_trailer_bytes,
        trailer_count_max: request.max_trailer_count,
        drain_bytes_max: request.max_drain_bytes,
        drain_timeout: pace.drain_timeout.0,
        first_byte_timeout: pace.first_byte_timeout.unwrap_or(pace.header_timeout).0,
        header_timeout: pace.header_timeout.0,
        idle_timeout: pace.idle_timeout.0,
        body_gap_timeout: pace.body_timeout.0,
        body_bytes_per_second_min: pace.min_body_rate,
        body_rate_grace: pace.body_rate_grace.0,
    }
}

/// The lowest level that is logged (Tornado's `--logging`).
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Logging {
    Debug,
    Info,
    #[value(alias = "warn")]
    Warning,
    Error,
    None,
}

/// Prints a panic as std's own hook does; where standard error is closed, std's hook would panic again.
fn print_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let (thread, trace) = (std::thread::current(), Backtrace::capture());
    let name = thread.name().unwrap_or("without a name");
    let trace = match trace.status() {
        BacktraceStatus::Captured => trace.to_string(),
        _ => String::new(),
    };
    let text = format!("thread '{name}' {panic}\n{trace}");
    StandardError.write_all(text.as_bytes()).unwrap_or_default();
}

impl Logging {
    /// Sends log lines to standard error, unless the application has installed a subscriber of its own.
    ///
    /// Lines that standard error does not take are dropped.
    fn start(self) {
        use tracing_subscriber::filter::LevelFilter;
        let level = match self {
            Self::Debug => LevelFilter::DEBUG,
            Self::Info => LevelFilter::INFO,
            Self::Warning => LevelFilter::WARN,
            Self::Error => LevelFilter::ERROR,
            Self::None => LevelFilter::OFF,
        };
        // Colours only for a terminal: a log file would hold the escape codes.
        let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_writer(|| StandardError)
            .log_internal_errors(false)
            .with_ansi(is_terminal);
        if subscriber.try_init().is_ok() {
            operator_log::text_log_started(!matches!(self, Self::None));
            std::panic::set_hook(Box::new(print_panic));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Options, Time};
    use crate::app::Limits;
    use clap::{CommandFactory as _, Parser as _};
    use std::time::Duration;

    /// Checks the settings that a flag with this value gives.
    fn check(flag: &str, value: &str) -> Result<(), String> {
        let config = Options::parse_from(["app", flag, value]).into_config();
        config.check().map_err(|invalid| invalid.to_string())
    }

    #[test]
    fn the_command_is_well_formed() {
        Options::command().debug_assert();
    }

    #[test]
    fn times_are_read_in_every_unit() {
        for (text, expected) in [
            ("2", Duration::from_secs(2)),
            ("0.5", Duration::from_millis(500)),
            ("1.5s", Duration::from_millis(1500)),
            ("250ms", Duration::from_millis(250)),
            ("50us", Duration::from_micros(50)),
            ("2m", Duration::from_secs(120)),
        ] {
            assert_eq!(text.parse(), Ok(Time(expected)), "{text}");
        }
        for text in ["", "x", "-1", "5 s", "1h", "1e400", "NaN"] {
            assert!(text.parse::<Time>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn without_flags_the_settings_are_the_documented_defaults() {
        let config = Options::parse_from(["app"]).into_config();
        let defaults = super::ServerConfig::default();
        assert_eq!(config.http1, defaults.http1);
        assert_eq!(config.write_limits(), defaults.write_limits());
        let own = Limits {
            body_bytes_max: 1,
            ..Limits::default()
        };
        assert_eq!(
            config.application_limits(own),
            own,
            "no flag, so the application's limits hold"
        );
        assert_eq!(config.linger_timeout, defaults.linger_timeout);
        assert_eq!(config.shutdown_timeout, defaults.shutdown_timeout);
        assert_eq!(config.connections_per_shard_max, defaults.connections_per_shard_max);
        assert_eq!(config.unsent_bytes_max, defaults.unsent_bytes_max);
        assert_eq!(config.listen.len(), 1);
    }

    #[test]
    fn the_limits_of_an_application_can_be_set_one_by_one() {
        let own = Limits::default();
        for (flag, limits) in [
            (
                "--max-body-bytes",
                Limits {
                    body_bytes_max: 7,
                    ..own
                },
            ),
            (
                "--max-parameters",
                Limits {
                    parameter_count_max: 7,
                    ..own
                },
            ),
            (
                "--max-json-depth",
                Limits {
                    json_depth_max: 7,
                    ..own
                },
            ),
            (
                "--max-cookies",
                Limits {
                    cookie_count_max: 7,
                    ..own
                },
            ),
        ] {
            let config = Options::parse_from(["app", flag, "7"]).into_config();
            assert_eq!(config.application_limits(own), limits, "{flag}");
        }
    }

    #[test]
    fn a_timeout_of_zero_that_would_end_every_request_is_refused() {
        for flag in [
            "--header-timeout",
            "--first-byte-timeout",
            "--idle-timeout",
            "--body-timeout",
            "--body-rate-grace",
            "--write-timeout",
            "--ping-timeout",
        ] {
            let refusal = check(flag, "0").unwrap_err();
            assert!(refusal.contains(&format!("({flag}) must be more than 0")), "{refusal}");
            assert_eq!(check(flag, "0.1"), Ok(()), "{flag}");
        }
        for flag in [
            "--ping-interval",
            "--drain-timeout",
            "--linger-timeout",
            "--shutdown-timeout",
            "--write-rate-grace",
        ] {
            assert_eq!(check(flag, "0"), Ok(()), "{flag}");
        }
    }

    #[test]
    fn a_limit_of_zero_that_would_refuse_every_request_is_refused() {
        for flag in [
            "--max-connections",
            "--max-target-bytes",
            "--max-header-bytes",
            "--max-header-count",
            "--max-header-name-bytes",
            "--max-fragments",
        ] {
            let refusal = check(flag, "0").unwrap_err();
            assert!(refusal.contains(&format!("({flag}) must be more than 0")), "{refusal}");
            assert_eq!(check(flag, "1"), Ok(()), "{flag}");
        }
        let refusal = check("--max-json-depth", "257").unwrap_err();
        assert!(
            refusal.contains("json_depth_max (--max-json-depth) is 257"),
            "{refusal}"
        );
        assert_eq!(check("--max-json-depth", "256"), Ok(()));
    }

    #[test]
    fn the_header_timeout_covers_the_first_byte_unless_that_has_its_own() {
        let config = Options::parse_from(["app", "--header-timeout", "0.5"]).into_config();
        assert_eq!(config.http1.first_byte_timeout, Duration::from_millis(500));
        let config = Options::parse_from(["app", "--header-timeout=0.5", "--first-byte-timeout=3"]).into_config();
        assert_eq!(config.http1.first_byte_timeout, Duration::from_secs(3));
    }
}
