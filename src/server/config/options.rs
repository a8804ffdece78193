//! The command line of an application (Tornado's `options`): every setting of a server as a flag.
//!
//! Flags, defaults and help texts come from the declarations of the settings, so they cannot differ.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::Write as _;

use clap::builder::EnumValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, ValueEnum};
use squall_shards::StandardError;

use super::{Given, Listen, OwnSettings, ServerConfig};
use crate::app;
use crate::http1;
use crate::http2;
use crate::pubsub::{self, LogLimits};
use crate::server::access_log::AccessLogSettings;
use crate::server::operator_log;
use crate::server::tls::settings::TlsSettings;
use crate::settings::{Setting, Settings};
use crate::transport::progress::WriteLimits;
use crate::websocket;

/// The listen address without `--listen`: Tornado's port.
const LISTEN_DEFAULT: &str = "127.0.0.1:8888";

/// Every setting of a server as a flag of an application's own command line.
///
/// It is a [`clap::Args`], for applications with flags of their own: flatten it into their parser, and pass it to
/// [`Server::from_options`](crate::Server::from_options).
///
/// ```no_run
/// use clap::Parser;
/// use squall::prelude::*;
///
/// #[derive(Parser)]
/// struct Arguments {
///     /// Greets this name
///     #[arg(long, default_value = "Squall")]
///     greet: String,
///     #[command(flatten)]
///     squall: squall::Options,
/// }
///
/// fn main() -> Result {
///     let Arguments { greet, squall } = Arguments::parse();
///     let application = move || {
///         let text = format!("Hello, {greet}!");
///         Application::new().get("/", async move |_: &mut Context| text.clone())
///     };
///     Server::from_options(squall, application).run()
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    config: ServerConfig,
    logging: Logging,
}

/// The command line of an application without flags of its own.
#[derive(Debug, Parser)]
#[command(
    about = "A Squall application. A time is a number of seconds, or a number with a unit: 0.5, 250ms, 50us, 2m. \
             BYTES may have a unit too: 65536, 64K, 10M, 1G.",
    version = concat!("(Squall ", env!("CARGO_PKG_VERSION"), ")")
)]
#[command(long_about = None, max_term_width = 110)]
struct CommandLine {
    #[command(flatten)]
    options: Options,
}

impl Options {
    /// Reads the command line of this process.
    ///
    /// Ends the process on `--help` and on invalid arguments.
    pub(in crate::server) fn from_command_line() -> Self {
        let mut command = CommandLine::command();
        let matches = command.get_matches_mut();
        let read = CommandLine::from_arg_matches(&matches);
        let options = read.unwrap_or_else(|error| error.format(&mut command).exit()).options;
        if let Err(invalid) = options.config.check() {
            command.error(ErrorKind::ValueValidation, invalid).exit();
        }
        options
    }

    /// Starts logging to standard error, unless the application has installed a subscriber of its own.
    pub(in crate::server) fn start(self) -> ServerConfig {
        self.logging.start();
        self.config
    }
}

impl Args for Options {
    fn augment_args(command: Command) -> Command {
        let listen = Arg::new("listen")
            .long("listen")
            .value_name("ADDR")
            .help(
                "Listens on 127.0.0.1:8888, :8888, [::]:8888, unix:/path or systemd; with TLS behind https://, without it \
                 behind http://, else if the server has a certificate; may be given more than once",
            )
            .help_heading("Server")
            .action(ArgAction::Append)
            .value_parser(str::parse::<Listen>)
            .default_value(LISTEN_DEFAULT);
        let logging = Arg::new("logging")
            .long("logging")
            .value_name("LEVEL")
            .help("Logs lines of this level and above to standard error; none logs nothing")
            .help_heading("Log")
            .value_parser(EnumValueParser::<Logging>::new())
            .default_value("info");
        // The application's own limit holds until a flag replaces it, so these have no default for the parser.
        let application = flags::<app::Limits>("Requests").map(|(arg, setting)| {
            let (help, default) = (setting.help(), setting.default.unwrap_or_default());
            arg.help(format!("{help} [default: {default}, or the application's]"))
        });
        command
            .arg(listen)
            .args(with_defaults::<OwnSettings>("Server"))
            .args(with_defaults::<TlsSettings>("TLS"))
            .args(application)
            .args(with_defaults::<http1::Limits>("Requests"))
            .args(with_defaults::<http2::Settings>("Requests"))
            .args(with_defaults::<WriteLimits>("Responses"))
            .args(with_defaults::<websocket::Limits>("WebSockets"))
            .args(with_defaults::<pubsub::Limits>("Topics"))
            .args(with_defaults::<LogLimits>("Topics"))
            .arg(logging)
            .args(with_defaults::<AccessLogSettings>("Log"))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Options {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut options = Self {
            config: ServerConfig::default(),
            logging: Logging::Info,
        };
        options.update_from_arg_matches(matches)?;
        Ok(options)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let config = &mut self.config;
        config.listen = matches.get_many("listen").into_iter().flatten().cloned().collect();
        config.application.extend(given(matches));
        update(&mut config.own, matches)?;
        update(&mut config.tls_flags, matches)?;
        update(&mut config.http1, matches)?;
        update(&mut config.http2, matches)?;
        update(&mut config.write, matches)?;
        update(&mut config.websocket, matches)?;
        update(&mut config.pubsub, matches)?;
        update(&mut config.histories, matches)?;
        update(&mut config.access_log, matches)?;
        self.logging = matches.get_one("logging").copied().unwrap_or(self.logging);
        Ok(())
    }
}

/// Returns the flag of each setting, without a default.
fn flags<S: Settings>(heading: &'static str) -> impl Iterator<Item = (Arg, Setting<S>)> {
    S::all().into_iter().map(move |setting| {
        let arg = Arg::new(setting.name)
            .long(setting.flag())
            .help(setting.help())
            .help_heading(heading);
        let read = setting.read;
        let arg = match setting.value_name {
            None => arg.action(ArgAction::SetTrue),
            Some(name) => arg
                .value_name(name)
                .value_parser(move |text: &str| read(&mut S::default(), text).map(|()| text.to_owned())),
        };
        (arg, setting)
    })
}

fn with_defaults<S: Settings>(heading: &'static str) -> impl Iterator<Item = Arg> {
    flags::<S>(heading).map(|(arg, setting)| match setting.default {
        Some(default) if setting.value_name.is_some() => arg.default_value(default),
        _ => arg,
    })
}

/// Returns the settings that the command line gives.
fn given<S: Settings>(matches: &ArgMatches) -> impl Iterator<Item = Given<S>> {
    S::all().into_iter().filter_map(|setting| {
        if matches.value_source(setting.name) == Some(ValueSource::DefaultValue) {
            return None;
        }
        let text = match setting.value_name {
            None => matches.get_flag(setting.name).to_string(),
            Some(_) => matches.get_one::<String>(setting.name)?.clone(),
        };
        Some((setting.read, text))
    })
}

fn update<S: Settings>(settings: &mut S, matches: &ArgMatches) -> Result<(), clap::Error> {
    given::<S>(matches)
        .try_for_each(|(read, text)| read(settings, &text))
        .map_err(|why| clap::Error::raw(ErrorKind::ValueValidation, why))
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
    use super::{AccessLogSettings, CommandLine, LogLimits, OwnSettings, ServerConfig, TlsSettings, WriteLimits};
    use crate::app::Limits;
    use crate::settings::Settings as _;
    use crate::{http1, http2, pubsub, websocket};
    use clap::{CommandFactory as _, Parser as _};
    use std::time::Duration;

    fn config(flags: &[&str]) -> ServerConfig {
        CommandLine::parse_from([&["app"], flags].concat()).options.config
    }

    /// Checks the settings that a flag with this value gives.
    fn check(flag: &str, value: &str) -> Result<(), String> {
        config(&[flag, value]).check().map_err(|invalid| invalid.to_string())
    }

    #[test]
    fn the_command_is_well_formed() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn without_flags_the_settings_are_the_documented_defaults() {
        let (config, defaults) = (config(&[]), ServerConfig::default());
        assert_eq!(config.listen.len(), 1);
        let config = ServerConfig {
            listen: Vec::new(),
            ..config
        };
        assert_eq!(format!("{config:?}"), format!("{defaults:?}"));
    }

    /// A wrong default in `--help` would differ from the setting it is read into.
    #[test]
    fn every_default_of_help_is_the_value_of_the_setting() {
        let command = CommandLine::command();
        let mut flags = Vec::new();
        for argument in command.get_arguments() {
            for default in argument.get_default_values() {
                let flag = argument.get_long().unwrap();
                flags.push(format!("--{flag}={}", default.to_str().unwrap()));
            }
        }
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        assert!(flags.len() > 30, "{flags:?}");
        assert_eq!(format!("{:?}", config(&flags)), format!("{:?}", config(&[])));
    }

    #[test]
    fn the_limits_of_an_application_can_be_set_one_by_one() {
        let own = Limits::default().max_cookies(3);
        assert_eq!(
            config(&[]).application_limits(own),
            Ok(own),
            "without a flag the application's limits hold"
        );
        for (flag, limits) in [
            ("--max-body-bytes", own.max_body_bytes(7)),
            ("--max-parameters", own.max_parameters(7)),
            ("--max-cookies", own.max_cookies(7)),
        ] {
            assert_eq!(config(&[flag, "7"]).application_limits(own), Ok(limits), "{flag}");
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
            "--close-timeout",
            "--handshake-timeout",
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
            "--history-timeout",
        ] {
            assert_eq!(check(flag, "0"), Ok(()), "{flag}");
        }
    }

    /// With less than the least, a limit would refuse everything that it limits.
    #[test]
    fn a_limit_below_the_least_that_works_is_refused_with_the_least() {
        for (flag, least) in [
            ("--max-connections", 1),
            ("--max-target-bytes", 1),
            ("--max-header-bytes", 256),
            ("--max-header-count", 1),
            ("--max-header-name-bytes", 4),
            ("--max-trailer-bytes", 2),
            ("--max-part-head-bytes", 64),
            ("--max-inflation-ratio", 1),
            ("--max-rate-limit-keys", 1),
            ("--max-concurrent-streams", 1),
            ("--max-receive-window", 1 << 20),
            ("--max-fragments", 1),
            ("--max-queued-pongs", 1),
            ("--max-unread-pings", 1),
            ("--max-subscribers", 1),
            ("--max-subscriptions", 1),
            ("--max-topics", 1),
            ("--max-histories", 1),
            ("--max-shard-queue-bytes", 16 * 1024),
            ("--max-unsent-bytes", 1),
            ("--max-memory-bytes", 1),
        ] {
            let refusal = check(flag, &(least - 1).to_string()).unwrap_err();
            let must = match least {
                1 => "more than 0".to_owned(),
                least => format!("at least {least}"),
            };
            assert!(refusal.contains(&format!("({flag}) must be {must}")), "{refusal}");
            assert_eq!(check(flag, &least.to_string()), Ok(()), "{flag}");
        }
    }

    /// Settings that only a program sets, because they do not concern its operator.
    const WITHOUT_FLAG: [&str; 1] = ["stop_on_signals"];

    #[test]
    fn every_setting_has_a_flag_of_its_name() {
        let command = CommandLine::command();
        let flags: Vec<&str> = command
            .get_arguments()
            .filter_map(|argument| argument.get_long())
            .collect();
        let settings = [
            OwnSettings::names(),
            TlsSettings::names(),
            Limits::names(),
            http1::Limits::names(),
            http2::Settings::names(),
            WriteLimits::names(),
            websocket::Limits::names(),
            pubsub::Limits::names(),
            LogLimits::names(),
            AccessLogSettings::names(),
        ];
        let has_flag = |name: &&&str| flags.contains(&name.replace('_', "-").as_str());
        let settings = settings.into_iter().flatten();
        let without: Vec<&str> = settings.filter(|name| !has_flag(name)).copied().collect();
        assert_eq!(without, WITHOUT_FLAG);
    }

    #[test]
    fn the_mode_of_a_unix_socket_is_octal_and_has_no_bits_beyond_permissions() {
        assert_eq!(config(&["--unix-socket-mode", "0660"]).own.unix_socket_mode, 0o660);
        assert!(CommandLine::try_parse_from(["app", "--unix-socket-mode", "0680"]).is_err());
        assert!(
            check("--unix-socket-mode", "4755")
                .unwrap_err()
                .contains("at most 0777")
        );
    }

    #[test]
    fn help_lists_the_log_level_under_a_heading_of_its_own() {
        let help = CommandLine::command().render_long_help().to_string();
        let (_, log) = help.split_once("\nLog:\n").unwrap();
        assert!(log.trim_start().starts_with("--logging <LEVEL>"), "{help}");
    }

    /// A programs's own flags stand beside those of the server, under a heading of their own.
    #[test]
    fn an_application_has_flags_of_its_own() {
        #[derive(clap::Parser)]
        struct Own {
            #[command(flatten)]
            squall: super::Options,
            /// Opens this database.
            #[arg(long)]
            database: String,
        }
        let own = Own::parse_from([
            "app",
            "--database=a.db",
            "--max-cookies=7",
            "--balance",
            "--idle-timeout",
            "2m",
        ]);
        assert_eq!(own.database, "a.db");
        let config = own.squall.config;
        assert!(config.own.balance && !config.own.share_port);
        assert_eq!(config.http1.idle_timeout, Duration::from_secs(120));
        assert_eq!(
            config.application_limits(Limits::default()),
            Ok(Limits::default().max_cookies(7))
        );
        let help = Own::command().render_help().to_string();
        let (_, options) = help.split_once("\nOptions:\n").unwrap();
        let (options, _) = options.split_once("\n\n").unwrap();
        assert!(
            options.contains("--database") && !options.contains("--logging"),
            "{help}"
        );
    }
}
