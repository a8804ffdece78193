//! The command line of an application (Tornado's `options`): every setting of a [`ServerConfig`] as a flag.
//!
//! The defaults that `--help` shows are read from the configuration's own, so the two cannot drift apart.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt;
use std::io::Write as _;
use std::str::FromStr;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, ValueEnum};
use squall_shards::{Driver, StandardError};

use super::config::{ListenAddress, ServerConfig};
use super::watermarks::MemoryWatermarks;
use crate::app::TrustedProxies;
use crate::http1::Limits;
use crate::pubsub::{self, LogLimits, TopicRules};
use crate::websocket;

/// Where an application listens if nobody says otherwise: Tornado's port.
const LISTEN_DEFAULT: &str = "127.0.0.1:8888";

/// Reads the command line of this process, and starts logging to standard error. Ends the process on `--help` and on wrong arguments.
pub(super) fn from_command_line() -> ServerConfig {
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
    about = "A Squall application. Times are in seconds and may be fractional, or carry a unit: 0.5, 250ms, 50us, 2m."
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
    /// What is logged to standard error
    #[arg(long, value_enum, default_value_t = Logging::Info, value_name = "LEVEL")]
    logging: Logging,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
struct ServerOptions {
    /// Where to listen: 127.0.0.1:8888, :8888, [::]:8888, unix:/path, systemd; may be given more than once
    #[arg(long, value_name = "ADDR", default_value = LISTEN_DEFAULT)]
    listen: Vec<ListenAddress>,
    /// How many shards [default: as many as cores this process may use]
    #[arg(long, value_name = "N")]
    shards: Option<usize>,
    /// What drives the sockets: auto, io_uring, epoll
    #[arg(long, value_name = "NAME", default_value_t = Driver::Auto)]
    driver: Driver,
    /// How long a shard watches its ring before it sleeps: 50us halve the latency of a lightly loaded server, and use its core
    #[arg(long, value_name = "TIME", default_value_t)]
    spin: Time,
    /// Gives each new connection to the shard of the CPU that received it
    #[arg(long)]
    steer_by_cpu: bool,
    /// Gives new connections to the other shards while one has a third more than its share, and 512 at least
    #[arg(long)]
    balance: bool,
    /// Lets another process listen on the same address, for a rolling restart
    #[arg(long)]
    share_port: bool,
    /// Most connections of one shard; more wait in the kernel's backlog
    #[arg(long, value_name = "N", default_value_t = ServerConfig::default().connections_per_shard_max)]
    max_connections: usize,
    /// How much memory the process may hold; control groups hold as well [default: what the machine has]
    #[arg(long, value_name = "BYTES")]
    max_memory_bytes: Option<u64>,
    /// At how many percent of it idle connections close, connections close after a response, requests are told 503, memory is refused
    #[arg(long, value_name = "LIST", default_value_t = MemoryWatermarks::default())]
    memory_watermarks: MemoryWatermarks,
    /// Most bytes the kernel takes for a connection beyond what is on its way to the peer
    #[arg(long, value_name = "BYTES", default_value_t = ServerConfig::default().unsent_bytes_max)]
    max_unsent_bytes: u32,
    /// How long a graceful stop (SIGTERM, SIGINT) waits before it cuts connections
    #[arg(long, value_name = "TIME", default_value_t = Time(ServerConfig::default().shutdown_timeout))]
    shutdown_timeout: Time,
    /// Proxies whose X-Real-Ip, X-Forwarded-For, X-Scheme and X-Forwarded-Proto are believed: addresses, networks, unix; by commas
    #[arg(long, value_name = "LIST")]
    trusted_proxies: Option<TrustedProxies>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Size of requests, in bytes and numbers")]
struct RequestOptions {
    /// Largest content; beyond it 413 [default: what the application says, else 1048576]
    #[arg(long, value_name = "BYTES")]
    max_body_bytes: Option<u64>,
    /// Most parameters of a query, and of a form; beyond it 400 [default: what the application says, else 1000]
    #[arg(long, value_name = "N")]
    max_parameters: Option<usize>,
    /// How deep JSON may be, 256 at most; beyond it 400 [default: what the application says, else 128]
    #[arg(long, value_name = "LEVELS")]
    max_json_depth: Option<usize>,
    /// Most cookies of a request; beyond it 431 [default: what the application says, else 100]
    #[arg(long, value_name = "N")]
    max_cookies: Option<usize>,
    /// Largest head; beyond it 431
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().header_bytes_max)]
    max_header_bytes: usize,
    /// Most field lines; beyond it 431
    #[arg(long, value_name = "N", default_value_t = Limits::default().header_count_max)]
    max_header_count: usize,
    /// Longest field name; beyond it 431
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().header_name_bytes_max)]
    max_header_name_bytes: usize,
    /// Longest request-target; beyond it 414
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().target_bytes_max)]
    max_target_bytes: usize,
    /// Chunk extensions of one request; beyond it 400
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().chunk_extension_bytes_max)]
    max_chunk_extension_bytes: usize,
    /// Largest trailer section; beyond it 431
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().trailer_bytes_max)]
    max_trailer_bytes: usize,
    /// Most trailer fields; beyond it 431
    #[arg(long, value_name = "N", default_value_t = Limits::default().trailer_count_max)]
    max_trailer_count: usize,
    /// Unread content that is thrown away to keep a connection; beyond it the connection closes
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().drain_bytes_max)]
    max_drain_bytes: u64,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "WebSockets and topics")]
struct RealTimeOptions {
    /// Largest message of a WebSocket; beyond it the socket is closed with 1009
    #[arg(long, value_name = "BYTES", default_value_t = websocket::Limits::default().message_bytes_max)]
    max_message_bytes: usize,
    /// Most fragments of a message; beyond it the socket is closed with 1008
    #[arg(long, value_name = "N", default_value_t = websocket::Limits::default().fragments_max)]
    max_fragments: u32,
    /// How long a peer may be silent before it is pinged; 0 turns it off
    #[arg(long, value_name = "TIME", default_value_t = Time(websocket::Limits::default().ping_interval.unwrap_or_default()))]
    ping_interval: Time,
    /// How long after a ping a peer may stay silent before its socket is closed
    #[arg(long, value_name = "TIME", default_value_t = Time(websocket::Limits::default().ping_timeout))]
    ping_timeout: Time,
    /// Most topics and patterns one peer may be subscribed to
    #[arg(long, value_name = "N", default_value_t = pubsub::Limits::default().subscriptions_max)]
    max_subscriptions: usize,
    /// How much may wait for one subscriber before its topics' policies act
    #[arg(long, value_name = "BYTES", default_value_t = pubsub::Limits::default().queue_bytes_high)]
    max_queue_bytes: usize,
    /// What policies shorten a subscriber's queue to, and at which it counts as keeping up again
    #[arg(long, value_name = "BYTES", default_value_t = pubsub::Limits::default().queue_bytes_low)]
    low_queue_bytes: usize,
    /// How much may wait for all subscribers of one shard
    #[arg(long, value_name = "BYTES", default_value_t = pubsub::Limits::default().shard_bytes_max)]
    max_shard_queue_bytes: usize,
    /// How much one shard may keep of the histories of topics
    #[arg(long, value_name = "BYTES", default_value_t = LogLimits::default().bytes_max)]
    max_history_bytes: usize,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Pace of peers")]
struct PaceOptions {
    /// From the first byte of a head to its last; then 408
    #[arg(long, value_name = "TIME", default_value_t = Time(Limits::default().header_timeout))]
    header_timeout: Time,
    /// From accepting a connection to its first byte [default: as --header-timeout]
    #[arg(long, value_name = "TIME")]
    first_byte_timeout: Option<Time>,
    /// From a response to the first byte of the next request
    #[arg(long, value_name = "TIME", default_value_t = Time(Limits::default().idle_timeout))]
    idle_timeout: Time,
    /// Longest pause in content that is awaited; then 408
    #[arg(long, value_name = "TIME", default_value_t = Time(Limits::default().body_gap_timeout))]
    body_timeout: Time,
    /// Slowest content, in bytes per second; then 408. 0 turns it off
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().body_bytes_per_second_min)]
    min_body_rate: u64,
    /// How long content may come before its rate is judged
    #[arg(long, value_name = "TIME", default_value_t = Time(Limits::default().body_rate_grace))]
    body_rate_grace: Time,
    /// Longest throwing away of unread content
    #[arg(long, value_name = "TIME", default_value_t = Time(Limits::default().drain_timeout))]
    drain_timeout: Time,
    /// Longest time a peer may take nothing of a response
    #[arg(long, value_name = "TIME", default_value_t = Time(ServerConfig::default().write_stall_timeout))]
    write_timeout: Time,
    /// Slowest a response may be taken, in bytes per second. 0 turns it off
    #[arg(long, value_name = "BYTES", default_value_t = ServerConfig::default().write_bytes_per_second_min)]
    min_write_rate: u64,
    /// How long a response may take before its rate is judged
    #[arg(long, value_name = "TIME", default_value_t = Time(ServerConfig::default().write_rate_grace))]
    write_rate_grace: Time,
    /// How long a closed connection is read from, so that its peer can read the last response
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

/// A span of time as it is typed: `2`, `0.5`, `250ms`, `50us`, `2m`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Time(Duration);

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let scale = match text.get(digits.len()..).unwrap_or_default() {
            "" | "s" => 1.0,
            "ms" => 1e-3,
            "us" => 1e-6,
            "m" => 60.0,
            unit => return Err(format!("there is no unit {unit:?}; use s, ms, us or m")),
        };
        let number: f64 = digits
            .parse()
            .map_err(|_| format!("{digits:?} is no number; write 2, 0.5, 250ms, 50us or 2m"))?;
        Duration::try_from_secs_f64(number * scale)
            .map(Self)
            .map_err(|_| format!("{text:?} is no span of time"))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}s", self.0.as_secs_f64())
    }
}

/// What is logged (Tornado's `--logging`).
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Logging {
    Debug,
    Info,
    Warning,
    Error,
    None,
}

/// Says where a panic began, as std's own hook does, but to a standard error that nobody may read.
fn print_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let (thread, trace) = (std::thread::current(), Backtrace::capture());
    let name = thread.name().unwrap_or("without a name");
    let trace = match trace.status() {
        BacktraceStatus::Captured => trace.to_string(),
        _ => String::new(),
    };
    let words = format!("thread '{name}' {panic}\n{trace}");
    StandardError.write_all(words.as_bytes()).unwrap_or_default();
}

impl Logging {
    /// Sends log lines to standard error, unless the application has set up logging of its own. Lines nobody reads are dropped.
    fn start(self) {
        use tracing_subscriber::filter::LevelFilter;
        let level = match self {
            Self::Debug => LevelFilter::DEBUG,
            Self::Info => LevelFilter::INFO,
            Self::Warning => LevelFilter::WARN,
            Self::Error => LevelFilter::ERROR,
            Self::None => LevelFilter::OFF,
        };
        let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_writer(|| StandardError)
            .log_internal_errors(false)
            .with_ansi(is_terminal);
        if subscriber.try_init().is_ok() {
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

    /// What is said of a flag with a value.
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
        assert_eq!(config.application_limits(own), own, "they are left to the application");
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
    fn a_time_in_which_no_peer_could_do_anything_is_refused() {
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
    fn a_number_with_which_nobody_could_be_served_is_refused() {
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
    fn the_header_timeout_covers_the_first_byte_unless_told_otherwise() {
        let config = Options::parse_from(["app", "--header-timeout", "0.5"]).into_config();
        assert_eq!(config.http1.first_byte_timeout, Duration::from_millis(500));
        let config = Options::parse_from(["app", "--header-timeout=0.5", "--first-byte-timeout=3"]).into_config();
        assert_eq!(config.http1.first_byte_timeout, Duration::from_secs(3));
    }
}
